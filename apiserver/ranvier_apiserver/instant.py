"""Writes without a task: what a protocol offers to an answer that goes on for long.

ASGI's `send` is a coroutine, so whoever waits for news must be woken to send it. To a thousand
subscribers the waking was measured to cost more than the writing. A protocol that can write at once
puts a function for that into the request's scope.
"""

from collections.abc import Callable, MutableMapping
from typing import Any, Final, cast

WRITE: Final = "ranvier.write"
"""Among the scope's `extensions`."""

Write = Callable[[bytes], bool]
"""Sends a piece of the body of an answer that has begun. False: it would have to wait, or can not
be; then nothing was sent. Not to be called while `send` is under way."""


def never(_: bytes) -> bool:
    """For protocols that can not."""
    return False


def offer(scope: MutableMapping[str, Any], write: Write) -> None:
    scope.setdefault("extensions", {})[WRITE] = write


def of(scope: MutableMapping[str, Any]) -> Write:
    return cast(Write, scope.get("extensions", {}).get(WRITE, never))
