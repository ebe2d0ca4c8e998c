"""The audit trail: a line for each request that may have written, with who asked and what came of
it. Pure: `audit_log.py` writes the lines.

Refused requests are told of too, with their status and, where nobody is known, `who: null`.
Payloads and keys never are: a key goes by the first digits of its digest.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic_core import to_json

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
TEXT_CHARACTERS_MAX: Final = 256
"""What a caller can put into one field; a line stays short whatever is sent."""

NOTES: Final = "ranvier.notes"
"""Where a request's scope keeps what the routes found out: caller, axon, sequences."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One request, as far as it is told."""

    time_ms: int
    method: str
    route: str
    status: int
    seconds: float
    request_id: str | None
    client: str | None
    facts: Mapping[str, Any]
    """`who`, `axon_id`, `sequence` … ; what a route notes wins over what its path says."""


def note(scope: MutableMapping[str, Any], **facts: Any) -> None:
    """Remember this about the request, for its line."""
    scope.setdefault(NOTES, {}).update(facts)


def entry(
    scope: Mapping[str, Any], route: str, status: int, seconds: float, now_ms: int
) -> Entry | None:
    """What is to be told of a request that has its answer; None when it can only have read."""
    if scope["method"] in READING:
        return None
    request_id = next((value for name, value in scope["headers"] if name == b"x-request-id"), None)
    client = scope.get("client")
    return Entry(
        now_ms,
        scope["method"],
        route,
        status,
        seconds,
        None if request_id is None else request_id.decode("latin-1"),
        client[0] if client else None,
        {**scope.get("path_params", {}), **scope.get(NOTES, {})},
    )


def line(told: Entry) -> bytes:
    """The entry as one JSON object and a line's end, with the fields that every log line has."""
    facts = dict(told.facts)
    return (
        to_json(
            {
                "time": datetime.fromtimestamp(told.time_ms / 1000, UTC).isoformat(
                    timespec="milliseconds"
                ),
                "level": "info",
                "logger": "ranvier_apiserver.audit",
                "message": "write",
                "who": facts.pop("who", None),
                "what": f"{told.method} {told.route}",
                **{name: _short(value) for name, value in facts.items()},
                "status": told.status,
                "ms": round(told.seconds * 1000, 1),
                "request_id": _short(told.request_id),
                "client": told.client,
            }
        )
        + b"\n"
    )


def lost(count: int, now_ms: int) -> bytes:
    """The line that stands where lines are missing."""
    gap = {
        "time": datetime.fromtimestamp(now_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "level": "error",
        "logger": "ranvier_apiserver.audit",
        "message": "lost",
        "lines": count,
    }
    return to_json(gap) + b"\n"


def _short(value: Any) -> Any:
    return value[:TEXT_CHARACTERS_MAX] if isinstance(value, str) else value
