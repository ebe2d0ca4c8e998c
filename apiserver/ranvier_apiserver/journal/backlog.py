"""What waits for the writer's thread: bounded in events and bytes; when it is full the caller hears
so at once (J8).

The queue is the interpreter's own: a lock that both threads take was measured to hold up the event
loop whenever the writer lost the interpreter while it had the lock.
"""

import enum
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from ranvier_apiserver.errors import TooBusy
from ranvier_apiserver.journal.commands import Command

BATCH_EVENTS_MAX: Final = 512
BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""A batch ends here, so that one sync never takes long; larger ones gained nothing (measured)."""

QUEUE_EVENTS_MAX: Final = 8192
QUEUE_BYTES_MAX: Final = 64 * 1024 * 1024
"""What may wait for the disk: under a second of work, and a known amount of memory."""

T = TypeVar("T")

Then = Callable[[T, Exception | None], None]
"""Takes a command's result, or the error when there is one (the result means nothing then)."""


@dataclass(slots=True, eq=False)
class Job:
    command: Command[Any]
    then: Then[Any]
    result: Any = None
    error: Exception | None = None


class _Word(enum.Enum):
    """What else is said to the thread."""

    LOOK = enum.auto()
    STOP = enum.auto()


class Backlog:
    """`take` in the writer's thread, `look` in any, the rest in the event loop."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Job | _Word] = queue.SimpleQueue()
        self._kept: Job | _Word | None = None
        """Taken from the queue, but not into the last batch."""
        # Of all jobs ever. Each is written by one thread only, so they need no lock.
        self._given, self._given_events, self._given_bytes = 0, 0, 0
        self._taken, self._taken_events, self._taken_bytes = 0, 0, 0
        self._looking = False

    @property
    def is_empty(self) -> bool:
        return self._given == self._taken

    @property
    def waiting_events(self) -> int:
        return self._given_events - self._taken_events

    def expect_room(self, command: Command[Any]) -> None:
        """Raises TooBusy. One command alone always has room."""
        if not self.is_empty and (
            self.waiting_events + command.events > QUEUE_EVENTS_MAX
            or self._given_bytes - self._taken_bytes + command.size > QUEUE_BYTES_MAX
        ):
            raise TooBusy("More events wait for the disk than may wait; send this again soon.")

    def put(self, job: Job) -> None:
        self._given += 1
        self._given_events += job.command.events
        self._given_bytes += job.command.size
        self._queue.put(job)

    def look(self) -> None:
        """Let the thread find out soon what others committed. Twice is as good as once."""
        if not self._looking:
            self._looking = True
            self._queue.put(_Word.LOOK)

    def stop(self) -> None:
        """Behind this nothing is taken."""
        self._queue.put(_Word.STOP)

    def take(self) -> list[Job] | None:
        """Wait for the next batch, without jobs when there is only to look; None when stopped."""
        batch: list[Job] = []
        events = size = 0
        item: Job | _Word | None = self._kept or self._queue.get()
        self._kept = None
        while item is not None:
            if isinstance(item, Job):
                events += item.command.events
                size += item.command.size
                if batch and (events > BATCH_EVENTS_MAX or size > BATCH_BYTES_MAX):
                    self._kept = item
                    break
                batch.append(item)
                self._taken_events += item.command.events
                self._taken_bytes += item.command.size
            elif item is _Word.STOP:
                self._kept = item
                break
            else:
                self._looking = False
            item = self._next()
        self._taken += len(batch)
        return None if self._kept is _Word.STOP and not batch else batch

    def _next(self) -> Job | _Word | None:
        """What else waits, if anything."""
        try:
            return self._queue.get_nowait()
        except queue.Empty:
            return None
