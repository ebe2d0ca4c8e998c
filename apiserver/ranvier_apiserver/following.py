"""Follows an axon for one reader: what the store has, then what comes, each event once (J5).

Who is near the end waits, and what comes is written for it right after the commit, without a task
being woken. Who can not be written to at once is woken and goes on by itself; it has no queue, so a
slow reader costs its socket's buffer and nothing more, and never slows a publisher (J6).
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from ranvier_apiserver import frames
from ranvier_apiserver.errors import AxonDeleted, JournalFailed, RanvierError
from ranvier_apiserver.event_filter import EVERYTHING, EventFilter
from ranvier_apiserver.instant import Write, never
from ranvier_apiserver.journal.store import FramePage, Page
from ranvier_apiserver.tail import Place, Tail, Tails

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


async def stream(
    pages: Pages,
    tails: Tails,
    axon_id: str,
    after: int,
    only: EventFilter,
    emit: Emit,
    write: Write = never,
) -> None:
    """Emit every event after `after`, each once and in order, until the axon or server ends (J5).

    The tail is followed before the store is read, so there is no seam between replay and live.
    `write` is used in place of `emit` while nothing is being emitted.
    """
    with tails.follow(axon_id) as (tail, place):
        place.cursor = after
        follower = _Follower(tail, place, only, emit, write)
        try:
            await follower.follow(pages, axon_id)
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
    with tails.follow(axon_id) as (tail, place):
        while True:
            seen = tail.changes
            place.cursor = after
            page = await pages.read_after(axon_id, after, limit, only)
            left = ends - _now()
            if page.events or tail.is_closed or left <= 0:
                return page
            after = page.cursor
            if page.at_end:
                await tail.next_change(seen, left)


class _Follower:
    """One reader of a stream."""

    def __init__(
        self, tail: Tail, place: Place, only: EventFilter, emit: Emit, write: Write
    ) -> None:
        self._tail = tail
        self._place = place
        self._only = only
        self._emit = emit
        self._write = write
        # Who can never be written to at once is woken without a try.
        self._takes = None if write is never else self._take
        self._quiet_until = _now() + frames.PING_SECONDS

    async def follow(self, pages: Pages, axon_id: str) -> None:
        tail, place = self._tail, self._place
        while not tail.is_closed:
            # Taken before looking: what comes while we look counts as a change since.
            seen = tail.changes
            step = tail.after(place.cursor, self._only)
            if step is None:
                try:
                    page = await pages.frames_after(axon_id, place.cursor, PAGE_EVENTS, self._only)
                except JournalFailed:
                    # The database is away. A stream outlives that, and its reader is kept alive.
                    await self._ping_if_quiet()
                    await tail.next_change(seen, AWAY_SECONDS)
                    continue
                step = page.frames, page.cursor
            chunk, moved = step
            has_moved = moved > place.cursor
            if chunk:
                await self._say(chunk)
            place.cursor = moved
            # Events that the filter leaves out are no sign of life to the reader.
            await self._ping_if_quiet()
            if not has_moved:
                await self._wait(seen)

    async def _wait(self, seen: int) -> None:
        """Until something came that the reader could not be sent at once."""
        while not await self._tail.next_change(seen, self._quiet_until - _now(), self._takes):
            await self._ping_if_quiet()

    def _take(self) -> bool:
        """Send what came, if the reader can be sent all of it without waiting."""
        step = self._tail.after(self._place.cursor, self._only)
        if step is None:
            return False
        chunk, moved = step
        if moved != self._tail.newest:
            return False
        if chunk:
            if not self._write(chunk):
                return False
            self._quiet_until = _now() + frames.PING_SECONDS
        self._place.cursor = moved
        return True

    async def _say(self, chunk: bytes) -> None:
        await self._emit(chunk)
        self._quiet_until = _now() + frames.PING_SECONDS

    async def _ping_if_quiet(self) -> None:
        if _now() >= self._quiet_until:
            await self._say(frames.ping(self._place.cursor, not self._only.is_everything))


def _now() -> float:
    return asyncio.get_running_loop().time()
