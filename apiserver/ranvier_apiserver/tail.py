"""The newest events of axons that somebody follows: frames encoded once, one wake-up per axon.

Each follower has a cursor and no queue. It takes everything after its cursor from the ring; when it
fell behind the ring it reads pages from the store until it is near again. So a slow follower costs
its socket's buffer and nothing more, and never slows a publisher (J6).
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from ranvier.events import AxonEvent

from ranvier_apiserver import frames
from ranvier_apiserver.errors import AxonDeleted, JournalFailed, RanvierError, TooBusy
from ranvier_apiserver.event_filter import EVERYTHING, EventFilter
from ranvier_apiserver.journal.store import Committed, FramePage, Page

RING_EVENTS_MAX: Final = 512
RING_BYTES_MAX: Final = 1024 * 1024
"""Per followed axon; what is older is read from the store."""

FOLLOWERS_MAX: Final = 20_000
"""Open streams and waiting reads of this process; each costs a socket and two small tasks."""

SEND_BYTES_MAX: Final = 256 * 1024
"""One write to a socket: large enough to catch up fast, small enough to share the loop."""

RINGS_BYTES_MAX: Final = 256 * 1024 * 1024
"""All rings together: beyond it those that were still for longest are emptied."""

PAGE_EVENTS: Final = 500

AWAY_SECONDS: Final = 1.0
"""Between two tries of a stream to read from a database that is away."""

Emit = Callable[[bytes], Awaitable[None]]


class Pages(Protocol):
    """What a stream asks of the journal."""

    async def read_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> Page: ...
    async def frames_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> FramePage: ...


class Tail:
    """The ring of one axon. Its sequences are contiguous."""

    def __init__(self) -> None:
        self._ring: deque[tuple[AxonEvent, bytes]] = deque()
        self.held = 0
        """Bytes of the ring."""
        self.cursors: dict[object, int] = {}
        """Where each follower stands."""
        self.newest = 0
        self.is_closed = False
        self.changes = 0
        """How often it moved or was closed; `next_change` waits for more."""
        self._waiting: set[asyncio.Future[bool]] = set()

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
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            _settle(future, True)

    async def next_change(self, seen: int, seconds: float) -> bool:
        """Whether more than `seen` changes happen within this time. Every event of every follower
        comes by here: a future and a timer take half of what an Event and a timeout do."""
        if self.changes != seen:
            return True
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._waiting.add(future)
        timer = loop.call_later(max(0.0, seconds), _settle, future, False)
        try:
            return await future
        finally:
            timer.cancel()
            self._waiting.discard(future)

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
            yield from (max(0, tail.newest - cursor) for cursor in tail.cursors.values())

    @contextmanager
    def follow(self, axon_id: str) -> Iterator[tuple[Tail, object]]:
        """A tail, and the follower's key among its `cursors`."""
        if self._followers >= FOLLOWERS_MAX:
            raise TooBusy(f"{FOLLOWERS_MAX} streams are open; close some and try again.")
        tail = self._tails.setdefault(axon_id, Tail())
        if self._is_closed:
            tail.close()
        me = object()
        tail.cursors[me] = 0
        self._followers += 1
        try:
            yield tail, me
        finally:
            del tail.cursors[me]
            self._followers -= 1
            if not tail.cursors:
                self._held -= tail.held
                del self._tails[axon_id]


async def stream(
    pages: Pages, tails: Tails, axon_id: str, after: int, only: EventFilter, emit: Emit
) -> None:
    """Emit every event after `after`, each once and in order, until the axon or server ends (J5).

    The tail is followed before the store is read, so there is no seam between replay and live.
    """
    with tails.follow(axon_id) as (tail, me):
        try:
            await _follow(pages, tail, me, axon_id, after, only, emit)
        except AxonDeleted:
            return
        except RanvierError as error:
            await emit(frames.error(500, str(error)))


async def wait_for_page(
    pages: Pages, tails: Tails, axon_id: str, after: int, limit: int, only: EventFilter, wait: float
) -> Page:
    """The first page after `after` that holds an event, or what there is after `wait` seconds.

    At a stop of the server it answers at once; its cursor is right however it ends.
    """
    ends = _now() + wait
    with tails.follow(axon_id) as (tail, me):
        while True:
            seen = tail.changes
            tail.cursors[me] = after
            page = await pages.read_after(axon_id, after, limit, only)
            left = ends - _now()
            if page.events or tail.is_closed or left <= 0:
                return page
            after = page.cursor
            if page.at_end:
                await tail.next_change(seen, left)


async def _follow(
    pages: Pages, tail: Tail, me: object, axon_id: str, cursor: int, only: EventFilter, emit: Emit
) -> None:
    is_filtered = not only.is_everything
    quiet_until = _now() + frames.PING_SECONDS

    async def say(chunk: bytes) -> None:
        nonlocal quiet_until
        await emit(chunk)
        quiet_until = _now() + frames.PING_SECONDS

    while not tail.is_closed:
        # Taken before looking: what comes while we look counts as a change since.
        seen = tail.changes
        tail.cursors[me] = cursor
        step = tail.after(cursor, only)
        if step is None:
            try:
                page = await pages.frames_after(axon_id, cursor, PAGE_EVENTS, only)
            except JournalFailed:
                # The database is away. A stream outlives that, and its reader is kept alive.
                if _now() >= quiet_until:
                    await say(frames.ping(cursor, is_filtered))
                await tail.next_change(seen, AWAY_SECONDS)
                continue
            step = page.frames, page.cursor
        chunk, moved = step
        if chunk:
            await say(chunk)
        elif _now() >= quiet_until:
            # Events that the filter leaves out are no sign of life to the reader.
            await say(frames.ping(moved, is_filtered))
        if moved > cursor:
            cursor = moved
            continue
        while not await tail.next_change(seen, quiet_until - _now()):
            await say(frames.ping(cursor, is_filtered))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)
