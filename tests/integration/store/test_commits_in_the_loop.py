"""While the disk is quick the event loop commits publishes itself, and the order is still one."""

import asyncio
import itertools
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
from ranvier.events import AxonEvent, NewEvent, Origin
from ranvier.internal import AppendRequest
from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.journal import commands, opening, pace, writer
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.box_commands import Append
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.journal.store import Committed, Published

FACT_SECONDS_MAX = 20
WAVES = 60
EVENT = NewEvent(Origin.USER, "test", "t", "{}")


class Disk(SqliteEngine):
    """Remembers who committed, and can be held up in the middle of a commit."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.threads: list[str] = []
        self.sizes: list[int] = []
        """Events of each commit."""
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.began = threading.Event()
        self.by_thread = threading.Event()
        """Set when a thread that is not the event loop's begins to commit."""

    def commit(self, draft: Draft) -> None:
        self.threads.append(threading.current_thread().name)
        self.sizes.append(len(draft.events))
        self.began.set()
        if threading.current_thread() is not threading.main_thread():
            self.by_thread.set()
        assert self.goes_on.wait(FACT_SECONDS_MAX)
        super().commit(draft)

    @property
    def last(self) -> str:
        return self.threads[-1]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


@pytest.fixture
async def store(disk: Disk) -> AsyncIterator[EngineStore]:
    store = await EngineStore.open(lambda: disk, lambda: 1_000)
    try:
        yield store
    finally:
        disk.goes_on.set()
        await store.close()


@pytest.fixture
def any_disk_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "REST_COMMITS", 0)
    monkeypatch.setattr(pace, "QUICK_SECONDS", FACT_SECONDS_MAX)


async def new_axon(store: EngineStore) -> str:
    return (await store.create_axon(None, {})).axon_id


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_a_publish_is_committed_where_it_came_in(store: EngineStore, disk: Disk) -> None:
    axon_id = await new_axon(store)
    assert (await store.publish(axon_id, EVENT)).sequence == 1
    assert disk.last == threading.current_thread().name


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_what_may_take_long_is_left_to_the_thread(store: EngineStore, disk: Disk) -> None:
    axon_id = await new_axon(store)
    here = threading.current_thread().name
    await store.publish_many(axon_id, [EVENT] * (commands.SMALL_EVENTS + 1))
    assert disk.last != here
    large = NewEvent(Origin.USER, "test", "t", "x" * (commands.SMALL_BYTES + 1))
    await store.publish(axon_id, large)
    assert disk.last != here
    await store.delete_axon(axon_id)
    assert here not in disk.threads


def test_a_brokers_state_is_weighed_with_its_events() -> None:
    state = {"session": "x" * commands.SMALL_BYTES}
    request = AppendRequest(epoch=1, batch=1, state=state)
    append = Append.of("uid", 0, request)
    assert append.size > commands.SMALL_BYTES
    assert not append.is_small


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_the_loop_commits_no_more_bytes_at_once_than_it_has_time_for(
    store: EngineStore, disk: Disk
) -> None:
    axon_id = await new_axon(store)
    event = NewEvent(Origin.USER, "test", "t", "x" * commands.SMALL_BYTES)
    await asyncio.gather(*(store.publish(axon_id, event) for _ in range(writer.HERE_EVENTS_MAX)))
    here, commits = threading.current_thread().name, zip(disk.threads, disk.sizes, strict=True)
    ours = [size for thread, size in commits if thread == here]
    assert max(ours, default=0) <= writer.HERE_BYTES_MAX // commands.SMALL_BYTES
    assert sum(disk.sizes) == writer.HERE_EVENTS_MAX


async def test_a_disk_that_is_not_quick_is_hardly_waited_for(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop tries again after ever more commits of the thread."""
    monkeypatch.setattr(pace, "REST_COMMITS", 4)
    monkeypatch.setattr(pace, "QUICK_SECONDS", -1)
    store = await EngineStore.open(lambda: disk, lambda: 1_000)
    axon_id, here = await new_axon(store), threading.current_thread().name
    for _ in range(4 + 4 + 8 + 16 + 3):
        await store.publish(axon_id, EVENT)
    await store.close()
    runs = [len(list(run)) for name, run in itertools.groupby(disk.threads) if name != here]
    assert runs == [4, 4, 8, 16]
    assert disk.threads.count(here) == 4


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_events_are_told_in_their_order_whoever_committed_them(
    store: EngineStore, disk: Disk
) -> None:
    axon_id, seen = await new_axon(store), list[AxonEvent]()
    store.listen(lambda committed: seen.extend(committed.events))
    for wave in range(WAVES):
        crowd = [store.publish(axon_id, EVENT) for _ in range(wave % 9)]
        await asyncio.gather(*crowd, store.publish_many(axon_id, [EVENT] * (wave % 7 + 1)))
        await store.publish(axon_id, EVENT)
    assert [event.sequence for event in seen] == list(range(1, len(seen) + 1))
    assert len(set(disk.threads)) == 2


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_what_the_thread_committed_is_told_before_what_the_loop_commits(
    store: EngineStore, disk: Disk
) -> None:
    """The loop is busy while the thread commits, so that both are ready at once."""
    axon_id, told, answered = await new_axon(store), list[int](), list[int]()
    store.listen(lambda committed: told.extend(event.sequence for event in committed.events))
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def then(result: Published, error: Exception | None) -> None:
        answered.append(result.sequence)
        if len(answered) == 2:
            done.set_result(None)

    disk.goes_on.clear()
    disk.began.clear()
    store.publish_then(axon_id, [EVENT] * (commands.SMALL_EVENTS + 1), None, None, then)
    assert disk.began.wait(FACT_SECONDS_MAX)
    store.publish_then(axon_id, [EVENT], None, None, then)
    disk.goes_on.set()
    ends = time.perf_counter() + FACT_SECONDS_MAX
    while store._writer._worked == store._writer._delivered:
        assert time.perf_counter() < ends
    await asyncio.wait_for(done, FACT_SECONDS_MAX)
    assert told == list(range(1, len(told) + 1))
    assert answered == [commands.SMALL_EVENTS + 1, commands.SMALL_EVENTS + 2]


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_the_loop_waits_for_nobodys_lock(
    store: EngineStore, disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tool that copies the file holds its lock, and the loop does other things meanwhile."""
    axon_id = await new_axon(store)
    monkeypatch.setattr(opening, "BUSY_MS", 2000 * FACT_SECONDS_MAX)
    began = time.monotonic()
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as tool:
        tool.execute("BEGIN IMMEDIATE")
        disk.by_thread.clear()
        publishing = [asyncio.create_task(store.publish(axon_id, EVENT)) for _ in range(3)]
        assert await asyncio.to_thread(disk.by_thread.wait, FACT_SECONDS_MAX)
        assert time.monotonic() < began + FACT_SECONDS_MAX, "the loop waited for the lock"
        assert not any(task.done() for task in publishing)
        tool.execute("ROLLBACK")
    assert [(await task).sequence for task in publishing] == [1, 2, 3]
    assert (await store.publish(axon_id, EVENT)).sequence == 4
    assert disk.last == threading.current_thread().name


@pytest.mark.usefixtures("any_disk_is_quick")
@pytest.mark.parametrize("count", [1, commands.SMALL_EVENTS + 1])
async def test_a_listener_that_fails_keeps_nothing_from_the_others(
    store: EngineStore, count: int
) -> None:
    axon_id, told = await new_axon(store), list[int]()

    def fails(_: Committed) -> None:
        raise ValueError("not my day")

    store.listen(fails)
    store.listen(lambda committed: told.extend(event.sequence for event in committed.events))
    async with asyncio.timeout(FACT_SECONDS_MAX):
        assert (await store.publish_many(axon_id, [EVENT] * count)).sequence == count
    assert told == list(range(1, count + 1))


@pytest.mark.usefixtures("any_disk_is_quick")
async def test_what_was_taken_before_a_stop_is_committed(disk: Disk) -> None:
    """One is being committed by the thread, one is about to be committed by the loop."""
    store = await EngineStore.open(lambda: disk, lambda: 1_000)
    axon_id, answers = await new_axon(store), list[int]()
    disk.goes_on.clear()
    disk.began.clear()
    for count in (commands.SMALL_EVENTS + 1, 1):
        events = [EVENT] * count
        store.publish_then(axon_id, events, None, None, lambda it, _: answers.append(it.sequence))
        assert disk.began.wait(FACT_SECONDS_MAX)
    store._writer.stop()
    closing = asyncio.create_task(store.close())
    for _ in range(3):
        await asyncio.sleep(0)
    disk.goes_on.set()
    await closing
    assert answers == [commands.SMALL_EVENTS + 1, commands.SMALL_EVENTS + 2]
    with pytest.raises(JournalFailed):
        await store.publish(axon_id, EVENT)
