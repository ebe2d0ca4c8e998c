"""Readers that take nothing: how a stream gets rid of them, whatever protocol they speak.

ASGI has no word for "end this connection, whatever is still unsent". Both protocols put a function
for that into a request's scope.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Final

ABORT: Final = "ranvier.abort"
"""Among the scope's `extensions`: drop the connection, or the HTTP/2 stream, at once."""

STALLED_SECONDS: Final = 300.0
"""A reader that takes nothing for so long is dropped. One that handles an event for minutes before
it reads on is not: several megabytes fit into the sockets between us."""

DEAD_SECONDS: Final = 360
"""The kernel's own limit for what a peer does not acknowledge: connections to machines that are
gone, and readers that stall in anything but a stream."""


def offer(scope: MutableMapping[str, Any], abort: Callable[[], None]) -> None:
    scope.setdefault("extensions", {})[ABORT] = abort


def drop(scope: MutableMapping[str, Any]) -> None:
    """Nothing more is sent to this request's reader; its stream hears that the reader is gone."""
    if (abort := scope.get("extensions", {}).get(ABORT)) is not None:
        abort()
