"""W2: commit first, poke second, and a poke that got lost is repeated."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from ranvier_apiserver import waker
from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Wake
from ranvier_apiserver.waker import PokeFailed, RecordingPoker, Waker

WAKE = Wake("uid", "ns", "box", 2, "axn_1", 7, 1_000)


class Sleepers:
    def __init__(self, *wakes: Wake) -> None:
        self.current = list(wakes)
        self.asked = asyncio.Semaphore(0)
        self.fail = False

    async def wakes(self) -> list[Wake]:
        self.asked.release()
        if self.fail:
            raise JournalFailed("away")
        return self.current


class Cluster:
    """Fails the first pokes, then takes them."""

    def __init__(self, failures: int = 0, exists: bool = True) -> None:
        self.failures = failures
        self.exists = exists
        self.poked: asyncio.Queue[Wake] = asyncio.Queue()

    async def poke(self, wake: Wake) -> bool:
        self.poked.put_nowait(wake)
        if self.failures:
            self.failures -= 1
            raise PokeFailed("cluster away")
        return self.exists

    async def next(self) -> Wake:
        async with asyncio.timeout(5):
            return await self.poked.get()


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waker, "RESYNC_SECONDS", 0.01)


@asynccontextmanager
async def running(sleepers: Sleepers, cluster: Cluster) -> AsyncIterator[Waker]:
    subject = Waker(sleepers, cluster)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.run())
        yield subject
        task.cancel()


async def looks(sleepers: Sleepers, count: int) -> None:
    async with asyncio.timeout(5):
        for _ in range(count):
            await sleepers.asked.acquire()


async def test_a_commit_pokes_at_once() -> None:
    sleepers, cluster = Sleepers(), Cluster()
    async with running(sleepers, cluster) as subject:
        subject.committed(Committed([], [WAKE]))
        assert await cluster.next() == WAKE


async def test_a_poke_that_a_dead_process_owed_goes_out_at_start() -> None:
    cluster = Cluster()
    async with running(Sleepers(WAKE), cluster):
        assert await cluster.next() == WAKE


async def test_a_failed_poke_is_repeated_until_it_is_taken() -> None:
    cluster = Cluster(failures=3)
    async with running(Sleepers(WAKE), cluster):
        assert [await cluster.next() for _ in range(4)] == [WAKE] * 4


async def test_a_reason_that_was_told_is_not_told_with_every_publish() -> None:
    sleepers, cluster = Sleepers(WAKE), Cluster()
    async with running(sleepers, cluster) as subject:
        await cluster.next()
        await looks(sleepers, 3)
        subject.committed(Committed([], [WAKE]))
        newer = replace(WAKE, generation=3)
        sleepers.current = [newer]
        subject.committed(Committed([], [newer]))
        assert await cluster.next() == newer
        assert cluster.poked.empty()


async def test_a_status_that_got_lost_is_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waker, "CONFIRMED_RESYNC_SECONDS", 0.02)
    cluster = Cluster()
    async with running(Sleepers(WAKE), cluster):
        assert [await cluster.next() for _ in range(3)] == [WAKE] * 3


async def test_a_devbox_that_does_not_exist_is_left_alone() -> None:
    sleepers, cluster = Sleepers(WAKE), Cluster(exists=False)
    async with running(sleepers, cluster):
        await cluster.next()
        await looks(sleepers, 5)
        assert cluster.poked.empty()


async def test_a_journal_that_is_away_is_asked_again() -> None:
    sleepers, cluster = Sleepers(WAKE), Cluster()
    sleepers.fail = True
    async with running(sleepers, cluster):
        await looks(sleepers, 2)
        sleepers.fail = False
        assert await cluster.next() == WAKE


async def test_pokes_of_one_devbox_are_merged_and_the_rest_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waker, "PENDING_MAX", 2)
    sleepers, cluster = Sleepers(), Cluster()
    subject = Waker(sleepers, cluster)
    newest = replace(WAKE, sequence=8)
    other = replace(WAKE, devbox_uid="other")
    subject.committed(Committed([], [WAKE, newest, other, replace(WAKE, devbox_uid="third")]))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(subject.run())
        assert {await cluster.next(), await cluster.next()} == {newest, other}
        await looks(sleepers, 2)
        assert cluster.poked.empty()
        task.cancel()


async def test_a_resync_that_hangs_shows_in_readiness(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = Waker(Sleepers(), Cluster())
    assert subject.is_alive
    monkeypatch.setattr(waker, "ALIVE_SECONDS", 0.0)
    assert not subject.is_alive


async def test_a_local_run_records_pokes() -> None:
    poker = RecordingPoker()
    assert await poker.poke(WAKE)
    assert list(poker.pokes) == [WAKE]
