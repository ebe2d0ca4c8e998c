"""Server-sent events, written: how an axon's events look on a stream. Pure.

Frames carry `data:` alone. The published clients decode every event with data as an axon event, an
`id:` makes one of them choke on the next keep-alive, and `event:` is reserved for `error`. So keep-
alives are comments, and a reader resumes by `after_sequence`.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import to_json
from ranvier.events import AxonEvent

OPEN: Final = b": open\n\n"
"""Sent at once, so that headers and a first byte leave before any event."""

PING: Final = b": ping\n\n"
PING_SECONDS: Final = 10.0
"""Well below the 30 s between two bytes after which the published Python client gives up."""

HEADERS: Final = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]


def view(event: AxonEvent) -> dict[str, Any]:
    """The event as JSON-ready values, named as the published clients name them."""
    return {
        "axon_id": event.axon_id,
        "sequence": event.sequence,
        "timestamp_ms": event.timestamp_ms,
        "origin": event.origin.value,
        "source": event.source,
        "event_type": event.event_type,
        "payload": event.payload,
    }


def frame(event: AxonEvent) -> bytes:
    """One event, one `data:` line: JSON escapes every line end."""
    return frame_of(view(event))


def frame_of(values: Mapping[str, Any]) -> bytes:
    """The frame of an event that was looked at only as its `view`."""
    return b"data: " + to_json(values) + b"\n\n"


def ping(cursor: int, is_filtered: bool) -> bytes:
    """A comment that keeps the stream alive.

    Behind a filter it tells how far the stream has come without a match: a reader may come back
    with that `after_sequence` and need not go over it again.
    """
    return b": cursor %d\n\n" % cursor if is_filtered else PING


def error(status: int, message: str) -> bytes:
    """The only named frame: the stream ends because of this, and the reader's loop raises."""
    return b"event: error\ndata: " + to_json({"code": status, "message": message}) + b"\n\n"
