"""Feeds a core that decides and does nothing: events in, its commands performed, in order."""

from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Event = TypeVar("Event")
Command = TypeVar("Command")


class Feed(Generic[Event, Command]):
    """One event after the other, never one from within the handling of another: what performing a
    command leads to waits until all commands before it were performed.

    `settled` is called when nothing is left to handle, also after a failure.
    """

    def __init__(
        self,
        handle: Callable[[Event], Iterable[Command]],
        perform: Callable[[Command], None],
        settled: Callable[[], None],
    ) -> None:
        self._handle = handle
        self._perform = perform
        self._settled = settled
        self._events: deque[Event] = deque()
        self._is_feeding = False

    def __call__(self, event: Event) -> None:
        """Tell the core; perform what follows. Raises what the core raises."""
        self._events.append(event)
        if self._is_feeding:
            return
        self._is_feeding = True
        try:
            while self._events:
                for command in self._handle(self._events.popleft()):
                    self._perform(command)
        finally:
            self._is_feeding = False
            self._settled()
