"""The short way of a request through the server: no task, no ASGI messages, one write.

A request that came whole in one piece over HTTP/1.1 is offered to the application as scope and
body. What it takes it answers by calling `reply` once, now or later, in the event loop. What it
leaves goes the ordinary way, which answers everything, so whatever is rare is left.
"""

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any, Final, Protocol, runtime_checkable

Headers = Sequence[tuple[bytes, bytes]]

JSON: Final[Headers] = ((b"content-type", b"application/json"),)

Reply = Callable[[int, bytes, Headers], None]
"""Status, body and headers; the length of the body is told by whoever sends it."""


@runtime_checkable
class HotPath(Protocol):
    """An ASGI application that also takes requests this way."""

    def take(self, scope: MutableMapping[str, Any], body: bytes, reply: Reply) -> bool:
        """Whether it answers this one. `scope` is ASGI's, as far as path and headers go."""
        ...
