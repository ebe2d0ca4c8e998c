"""J5 and J6 of the ring: no seam between replay and live, and nobody waits for a slow reader."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace

import pytest
from ranvier.events import AxonEvent, Origin
from ranvier.sse import SseParser
from ranvier_apiserver import following, frames, tail
from ranvier_apiserver.errors import AxonDeleted, JournalDamaged, TooBusy
from ranvier_apiserver.event_filter import EVERYTHING, EventFilter
from ranvier_apiserver.journal.store import Committed, FramePage, Page
from ranvier_apiserver.tail import RING_EVENTS_MAX, Tails

AXON = "axn_1"
ORIGINS = [Origin.USER, Origin.AGENT]
USERS = EventFilter(origins=frozenset({Origin.USER}))
NOTHING = EventFilter(event_types=frozenset({"none such"}))


def event(sequence: int) -> AxonEvent:
    return AxonEvent(AXON, sequence, 0, ORIGINS[sequence % 2], "s", "t", "{}")


class Journal:
    """Events in memory, told to the tails as a store's commits are."""

    def __init__(self) -> None:
        self.tails = Tails()
        self.events: list[AxonEvent] = []
        self.reads = 0
        self.scan = 1_000_000
        self.error: Exception | None = None

    def commit(self, count: int = 1) -> None:
        head = len(self.events)
        new = [event(head + 1 + i) for i in range(count)]
        self.events += new
        self.tails.committed(Committed(new))

    async def read_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> Page:
        self.reads += 1
        head = len(self.events)
        # Others run while a page is read.
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        end = min(head, after + self.scan)
        matching = [e for e in self.events[after:end] if only.admits(e)]
        found = matching[:limit]
        seen_all = len(found) == len(matching)
        cursor = max(after, end) if seen_all else found[-1].sequence
        return Page(found, cursor, seen_all and end == head, head)

    async def frames_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> FramePage:
        page = await self.read_after(axon_id, after, limit, only)
        return FramePage(b"".join(map(frames.frame, page.events)), page.cursor)


class Follower:
    """Collects what a stream emits; `gate` closed, it is a reader that does not read."""

    def __init__(self) -> None:
        self.parser = SseParser()
        self.sequences: list[int] = []
        self.errors: list[str] = []
        self.pings = 0
        self.cursors: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.moved = asyncio.Condition()

    async def emit(self, chunk: bytes) -> None:
        await self.gate.wait()
        async with self.moved:
            self.hear(chunk)
            self.moved.notify_all()

    def write(self, chunk: bytes) -> bool:
        if self.gate.is_set():
            self.hear(chunk)
        return self.gate.is_set()

    def hear(self, chunk: bytes) -> None:
        self.pings += chunk == frames.PING
        if chunk.startswith(b": cursor "):
            self.cursors.append(int(chunk.split()[2]))
        for got in self.parser.feed(chunk):
            if got.event == "error":
                self.errors.append(got.data)
            else:
                self.sequences.append(json.loads(got.data)["sequence"])

    async def until(self, count: int) -> None:
        await self._until(lambda: len(self.sequences) >= count)

    async def until_cursor(self, cursor: int) -> None:
        await self._until(lambda: cursor in self.cursors)

    async def until_pings(self, count: int) -> None:
        await self._until(lambda: self.pings >= count)

    async def _until(self, fact: Callable[[], bool]) -> None:
        async with asyncio.timeout(5), self.moved:
            await self.moved.wait_for(fact)


async def follow(
    journal: Journal, follower: Follower, after: int = 0, only: EventFilter = EVERYTHING
) -> None:
    await following.stream(journal, journal.tails, AXON, after, only, follower.emit)


async def test_replay_passes_into_live_without_a_seam() -> None:
    journal, follower = Journal(), Follower()
    journal.commit(1200)
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower))
        for _ in range(300):
            await asyncio.sleep(0)
            journal.commit()
        await follower.until(1500)
        journal.tails.close()
    assert follower.sequences == list(range(1, 1501))


async def test_live_events_come_from_the_ring_alone() -> None:
    journal, follower = Journal(), Follower()
    journal.commit()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower))
        await follower.until(1)
        journal.commit()
        await follower.until(2)
        reads = journal.reads
        for count in range(3, 10):
            journal.commit()
            await follower.until(count)
        assert journal.reads == reads
        journal.tails.close()


async def written_to(journal: Journal, follower: Follower, only: EventFilter = EVERYTHING) -> None:
    """As `follow`, by a protocol that can write at once."""
    await following.stream(journal, journal.tails, AXON, 0, only, follower.emit, follower.write)


@asynccontextmanager
async def waiting(
    only: EventFilter = EVERYTHING, first: int = 1
) -> AsyncIterator[tuple[Journal, Follower]]:
    """A reader that can be written to at once, has the `first` events, and waits for more."""
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(written_to(journal, follower, only))
        journal.commit(first)
        await follower.until(1)
        # From having emitted to waiting its task meets nothing that it could wait for.
        await asyncio.sleep(0)
        assert journal.tails._tails[AXON]._waiting
        yield journal, follower
        journal.tails.close()


async def test_who_waits_is_written_to_before_the_commit_is_over() -> None:
    async with waiting() as (journal, follower):
        for count in range(2, 50):
            journal.commit()
            assert len(follower.sequences) == count
    assert follower.sequences == list(range(1, 50))


async def test_who_can_not_be_written_to_at_once_misses_nothing() -> None:
    """Its buffer is full now and then, in the middle of live events and of a flood."""
    journal, follower, total = Journal(), Follower(), 0
    async with asyncio.TaskGroup() as group:
        group.create_task(written_to(journal, follower))
        for count in (1, 3, 1, RING_EVENTS_MAX + 1, 1, 1) * 2:
            journal.commit()
            follower.gate.clear()
            journal.commit(count)
            await asyncio.sleep(0)
            journal.commit(count)
            follower.gate.set()
            total += 1 + 2 * count
            await follower.until(total)
        journal.tails.close()
    assert follower.sequences == list(range(1, total + 1))


async def test_who_can_not_be_written_to_by_mistake_stands_in_nobodys_way() -> None:
    journal, others, broken = Journal(), [Follower(), Follower()], Follower()

    def fails(_: bytes) -> bool:
        raise RuntimeError("the handle is closed")

    async with asyncio.TaskGroup() as group:
        group.create_task(written_to(journal, others[0]))
        stream = following.stream(journal, journal.tails, AXON, 0, EVERYTHING, broken.emit, fails)
        group.create_task(stream)
        group.create_task(written_to(journal, others[1]))
        journal.commit()
        for follower in (*others, broken):
            await follower.until(1)
        await asyncio.sleep(0)
        journal.commit()
        assert [follower.sequences for follower in others] == [[1, 2], [1, 2]]
        await broken.until(2)
        journal.tails.close()


async def test_more_than_one_write_at_once_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "SEND_BYTES_MAX", 3 * len(frames.frame(event(1))))
    async with waiting() as (journal, follower):
        journal.commit(20)
        await follower.until(21)
    assert follower.sequences == list(range(1, 22))


async def test_what_the_filter_leaves_out_is_passed_without_a_word() -> None:
    async with waiting(USERS, first=2) as (journal, follower):
        for _ in range(20):
            journal.commit()
        assert follower.sequences == list(range(2, 23, 2))
        assert list(journal.tails.lags()) == [0]


async def test_what_was_written_at_once_counts_as_a_sign_of_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr(frames, "PING_SECONDS", 0.05)
    monkeypatch.setattr(following, "_now", lambda: now)
    async with waiting() as (journal, follower):
        now = 0.04
        journal.commit()
        now = 0.08
        # Its timer goes off meanwhile.
        await asyncio.sleep(0.1)
        assert (follower.sequences, follower.pings) == ([1, 2], 0)
        now = 0.1
        await follower.until_pings(1)


async def test_a_slow_reader_falls_back_to_the_store_and_misses_nothing() -> None:
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower))
        journal.commit()
        await follower.until(1)
        follower.gate.clear()
        for _ in range(3):
            journal.commit(RING_EVENTS_MAX)
            await asyncio.sleep(0)
        follower.gate.set()
        await follower.until(1 + 3 * RING_EVENTS_MAX)
        journal.tails.close()
    assert follower.sequences == list(range(1, 2 + 3 * RING_EVENTS_MAX))


async def test_all_rings_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The axons that were still for longest lose theirs; their followers read from the store."""
    size = len(frames.frame(event(1)))
    monkeypatch.setattr(tail, "RINGS_BYTES_MAX", 10 * size)
    tails = Tails()
    with ExitStack() as streams:
        rings = [streams.enter_context(tails.follow(f"axn_{n}"))[0] for n in range(8)]
        for sequence in (1, 2, 3):
            for number in range(8):
                tails.committed(Committed([replace(event(sequence), axon_id=f"axn_{number}")]))
                assert sum(ring.held for ring in rings) <= 10 * size
        assert rings[0].held == 0
        assert rings[-1].held > 0
    assert tails._held == 0
    assert rings[0].after(0, EVERYTHING) is None


async def test_a_filter_leaves_the_others_out_in_replay_and_live() -> None:
    journal, follower = Journal(), Follower()
    journal.commit(600)
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower, only=USERS))
        await follower.until(300)
        journal.commit(10)
        await follower.until(305)
        journal.tails.close()
    assert follower.sequences == list(range(2, 611, 2))


async def test_a_cursor_beyond_the_head_waits_for_the_events_after_it() -> None:
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower, after=5))
        for _ in range(7):
            await asyncio.sleep(0)
            journal.commit()
        await follower.until(2)
        journal.tails.close()
    assert follower.sequences == [6, 7]


async def test_an_idle_stream_is_kept_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "PING_SECONDS", 0.01)
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower))
        await follower.until_pings(3)
        assert journal.reads == 1
        journal.tails.close()


async def test_a_filtered_stream_lives_while_others_are_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Commits that its filter leaves out wake it, yet its reader hears nothing of them."""
    monkeypatch.setattr(frames, "PING_SECONDS", 0.05)
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower, only=NOTHING))
        async with asyncio.timeout(5):
            while len(follower.cursors) < 3:
                journal.commit()
                await asyncio.sleep(0.001)
        journal.tails.close()
    assert follower.cursors == sorted(follower.cursors)
    assert 0 < follower.cursors[-1] <= len(journal.events)
    assert follower.sequences == []


async def test_a_filter_that_matches_rarely_is_kept_alive_in_replay(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frames, "PING_SECONDS", 0.0)
    journal, follower = Journal(), Follower()
    journal.scan = 10
    journal.commit(100)
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower, only=NOTHING))
        await follower.until_cursor(100)
        journal.tails.close()
    assert follower.cursors[:10] == list(range(10, 101, 10))


async def test_a_waiting_read_passes_over_what_it_does_not_want() -> None:
    journal = Journal()
    journal.scan = 10
    journal.commit(99)
    async with asyncio.TaskGroup() as group:
        read = group.create_task(
            following.wait_for_page(journal, journal.tails, AXON, 99, 5, USERS, wait=5)
        )
        await asyncio.sleep(0)
        # An agent's event wakes it and is not what it waits for.
        journal.events.append(AxonEvent(AXON, 100, 0, Origin.AGENT, "s", "t", "{}"))
        journal.tails.committed(Committed(journal.events[-1:]))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not read.done()
        journal.commit(2)
    page = read.result()
    assert [e.sequence for e in page.events] == [102]


async def test_a_waiting_read_ends_in_time_and_tells_how_far_it_came() -> None:
    journal = Journal()
    journal.scan = 10
    journal.commit(30)
    page = await following.wait_for_page(journal, journal.tails, AXON, 0, 5, NOTHING, wait=0.02)
    assert (list(page.events), page.cursor, page.at_end) == ([], 30, True)


async def test_a_stop_answers_waiting_reads_at_once() -> None:
    journal = Journal()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        read = group.create_task(
            following.wait_for_page(journal, journal.tails, AXON, 0, 5, EVERYTHING, wait=20)
        )
        await asyncio.sleep(0)
        journal.tails.close()
    assert list(read.result().events) == []


async def test_deletion_ends_the_stream_cleanly() -> None:
    journal, follower = Journal(), Follower()
    async with asyncio.TaskGroup() as group:
        group.create_task(follow(journal, follower))
        journal.commit()
        await follower.until(1)
        journal.tails.committed(Committed([], deleted_axons=[AXON]))
    assert follower.errors == []


async def test_an_axon_deleted_before_it_is_read_ends_the_stream_cleanly() -> None:
    journal, follower = Journal(), Follower()
    journal.error = AxonDeleted(AXON)
    await follow(journal, follower)
    assert follower.errors == []


async def test_damage_is_told_and_ends_the_stream() -> None:
    journal, follower = Journal(), Follower()
    journal.error = JournalDamaged("bad bytes")
    await follow(journal, follower)
    assert [json.loads(error) for error in follower.errors] == [
        {"code": 500, "message": "bad bytes"}
    ]


async def test_streams_are_bounded_in_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail, "FOLLOWERS_MAX", 1)
    tails = Tails()
    with tails.follow(AXON), pytest.raises(TooBusy), tails.follow(AXON):
        pass
    with tails.follow(AXON):
        pass


async def test_nothing_is_kept_for_axons_that_nobody_follows() -> None:
    journal = Journal()
    with journal.tails.follow(AXON):
        journal.commit()
    with journal.tails.follow(AXON) as (followed, _):
        assert followed.after(0, EVERYTHING) is None
