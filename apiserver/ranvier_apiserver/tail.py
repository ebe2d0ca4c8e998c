"""The newest events of axons that somebody follows: frames encoded once, for all of them.

Each follower has a place and no queue. It takes everything after its place from the ring; when it
fell behind the ring it reads pages from the store until it is near again (`following.py`).
"""

import asyncio
import logging
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from ranvier.events import AxonEvent

from ranvier_apiserver import frames
from ranvier_apiserver.errors import TooBusy
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal.store import Committed

RING_EVENTS_MAX: Final = 512
RING_BYTES_MAX: Final = 1024 * 1024
"""Per followed axon; what is older is read from the store."""

FOLLOWERS_MAX: Final = 20_000
"""Open streams and waiting reads of this process; each costs a socket and two small tasks."""

SEND_BYTES_MAX: Final = 256 * 1024
"""One write to a socket: large enough to catch up fast, small enough to share the loop."""

RINGS_BYTES_MAX: Final = 256 * 1024 * 1024
"""All rings together: beyond it those that were still for longest are emptied."""

WAIT_SECONDS_MIN: Final = 0.001
"""Timers are no finer: who waits for less would only turn in circles."""

Take = Callable[[], bool]
"""Takes what came, on behalf of a follower that waits; False when the follower itself must."""

log = logging.getLogger(__name__)


class Place:
    """Where a follower stands: the last sequence that it has."""

    __slots__ = ("cursor",)

    def __init__(self) -> None:
        self.cursor = 0


class Tail:
    """The ring of one axon. Its sequences are contiguous."""

    def __init__(self) -> None:
        self._ring: deque[tuple[AxonEvent, bytes]] = deque()
        self.held = 0
        """Bytes of the ring."""
        self.places: set[Place] = set()
        self.newest = 0
        self.is_closed = False
        self.changes = 0
        """How often it moved or was closed; `next_change` waits for more."""
        self._waiting: dict[asyncio.Future[bool], Take | None] = {}

    def push(self, event: AxonEvent) -> None:
        frame = frames.frame(event)
        self._ring.append((event, frame))
        self.newest = event.sequence
        self.held += len(frame)
        while len(self._ring) > RING_EVENTS_MAX or self.held > RING_BYTES_MAX:
            self.held -= len(self._ring.popleft()[1])

    def empty(self) -> None:
        """Forget the ring: who is behind reads from the store."""
        self._ring.clear()
        self.held = 0

    def wake(self) -> None:
        self.changes += 1
        waiting, self._waiting = self._waiting, {}
        for future, take in waiting.items():
            if take is not None and not (self.is_closed or future.done()) and _took(take):
                self._waiting[future] = take
            else:
                _settle(future, True)

    async def next_change(self, seen: int, seconds: float, take: Take | None = None) -> bool:
        """Whether more than `seen` changes happen within this time, but those that `take` took.

        A future and a timer take half of what an Event and a timeout do.
        """
        if self.changes != seen:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting[future] = take
        timer = loop.call_later(max(WAIT_SECONDS_MIN, seconds), _settle, future, False)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.pop(future, None)

    def close(self) -> None:
        self.is_closed = True
        self.wake()

    def after(self, cursor: int, only: EventFilter) -> tuple[bytes, int] | None:
        """Frames after the cursor and the new cursor; None when the ring does not reach back."""
        if not self._ring or cursor < self._ring[0][0].sequence - 1:
            return None
        taken, size = [], 0
        # From the end: who follows live has one event to take, and a deque is walked from an end.
        for event, frame in map(self._ring.__getitem__, range(cursor - self.newest, 0)):
            if size and size + len(frame) > SEND_BYTES_MAX:
                break
            cursor = event.sequence
            if only.admits(event):
                taken.append(frame)
                size += len(frame)
        return b"".join(taken), cursor


class Tails:
    """The rings of all followed axons; told of every commit."""

    def __init__(self) -> None:
        self._tails: OrderedDict[str, Tail] = OrderedDict()
        """Those that moved last come last."""
        self._held = 0
        self._followers = 0
        self.dropped = 0
        self._is_closed = False

    def committed(self, committed: Committed) -> None:
        """A store listener."""
        if not self._tails:
            return
        if committed.forget:
            self._forget()
        touched = set()
        for event in committed.events:
            if (tail := self._tails.get(event.axon_id)) is not None:
                self._held -= tail.held
                tail.push(event)
                self._held += tail.held
                if tail not in touched:
                    touched.add(tail)
                    self._tails.move_to_end(event.axon_id)
        for tail in touched:
            tail.wake()
        self._shrink()
        for axon_id in committed.deleted_axons:
            if (tail := self._tails.get(axon_id)) is not None:
                tail.close()

    def _forget(self) -> None:
        """Events were missed: followers read them from the store."""
        for tail in self._tails.values():
            tail.empty()
            tail.wake()
        self._held = 0

    def _shrink(self) -> None:
        """Keep all rings together within their limit."""
        if self._held <= RINGS_BYTES_MAX:
            return
        for tail in self._tails.values():
            self._held -= tail.held
            tail.empty()
            if self._held <= RINGS_BYTES_MAX:
                return

    def close(self) -> None:
        """End all streams, present and future, cleanly: the server stops."""
        self._is_closed = True
        for tail in self._tails.values():
            tail.close()

    @property
    def followers(self) -> int:
        return self._followers

    def lags(self) -> Iterator[int]:
        """By how many events each follower is behind what was committed since it came."""
        for tail in self._tails.values():
            yield from (max(0, tail.newest - place.cursor) for place in tail.places)

    @contextmanager
    def follow(self, axon_id: str) -> Iterator[tuple[Tail, Place]]:
        """A tail, and the follower's place."""
        if self._followers >= FOLLOWERS_MAX:
            raise TooBusy(f"{FOLLOWERS_MAX} streams are open; close some and try again.")
        tail = self._tails.setdefault(axon_id, Tail())
        if self._is_closed:
            tail.close()
        place = Place()
        tail.places.add(place)
        self._followers += 1
        try:
            yield tail, place
        finally:
            tail.places.remove(place)
            self._followers -= 1
            if not tail.places:
                self._held -= tail.held
                del self._tails[axon_id]


def _took(take: Take) -> bool:
    """One reader's trouble is its own: the others are written to, and its task finds out."""
    try:
        return take()
    except Exception:
        log.exception("a subscriber was not written to")
        return False


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
