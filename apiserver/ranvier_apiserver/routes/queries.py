"""Query strings: what the published clients send, checked, with sentences for mistakes. Pure."""

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ranvier.events import Origin

from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.journal.store import AxonQuery

LIMIT_DEFAULT: Final = 20
LIMIT_MAX: Final = 5000
SEQUENCE_MAX: Final = 2**63 - 1

_METADATA: Final = re.compile(r"metadata\[(?P<key>[^]]+)](?P<many>\[in])?")


def limit(params: Mapping[str, str]) -> int:
    value = _integer(params, "limit", LIMIT_DEFAULT)
    if not 1 <= value <= LIMIT_MAX:
        raise InvalidField(f"limit: must be from 1 to {LIMIT_MAX}.")
    return value


def sequence(params: Mapping[str, str], name: str) -> int | None:
    """A sequence number, or None when the parameter is left out."""
    if not params.get(name):
        return None
    value = _integer(params, name, 0)
    if not 0 <= value <= SEQUENCE_MAX:
        raise InvalidField(f"{name}: must be a sequence number, 0 or more.")
    return value


def with_total(params: Mapping[str, str]) -> bool:
    value = params.get("include_total_count", "true").lower()
    if value not in ("true", "false"):
        raise InvalidField("include_total_count: must be true or false.")
    return value == "true"


def origins(params: Mapping[str, str]) -> frozenset[Origin] | None:
    """`origin=USER_EVENT,EXTERNAL_EVENT`; None means all."""
    words = [word.strip() for word in params.get("origin", "").split(",") if word.strip()]
    try:
        return frozenset(Origin(word) for word in words) or None
    except ValueError:
        raise InvalidField(f"origin: must be of {', '.join(Origin)}.") from None


def axons(params: Mapping[str, str], pairs: Iterable[tuple[str, str]]) -> AxonQuery:
    """`pairs` are all parameters, repeated ones too: several values of a key are alternatives."""
    metadata: dict[str, list[str]] = {}
    for name, value in pairs:
        if found := _METADATA.fullmatch(name):
            values = value.split(",") if found["many"] else [value]
            metadata.setdefault(found["key"], []).extend(values)
    return AxonQuery(
        limit=limit(params),
        starting_after=params.get("starting_after") or None,
        axon_id=params.get("id") or None,
        name_prefix=params.get("name") or None,
        search=params.get("search") or None,
        metadata=metadata,
        with_total=with_total(params),
    )


def _integer(params: Mapping[str, str], name: str, default: int) -> int:
    text = params.get(name)
    if not text:
        return default
    try:
        return int(text)
    except ValueError:
        raise InvalidField(f"{name}: must be a whole number.") from None
