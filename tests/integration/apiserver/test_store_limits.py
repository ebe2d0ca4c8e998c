"""The store under pressure: bounds, batches that fail alone, pages, upkeep (J6, J8)."""

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ranvier.events import NewEvent, Origin
from ranvier.internal import AttachRequest, DevboxBinding, MountBinding
from ranvier_apiserver.errors import (
    AxonDeleted,
    AxonFull,
    AxonNotFound,
    DevboxNotFound,
    HeadMoved,
    JournalFailed,
    TooBusy,
)
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.history import newest_first
from ranvier_apiserver.journal import base, commands, pages, persist, writer
from ranvier_apiserver.journal.sqlite_store import SqliteStore
from ranvier_apiserver.journal.store import Committed, Published, Store

MIB = 1024 * 1024
KINDS = (Origin.AGENT, Origin.SYSTEM)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path, clock: Clock) -> AsyncIterator[SqliteStore]:
    subject = await SqliteStore.open(tmp_path, clock)
    yield subject
    await subject.close()


def event(payload: str = "{}", origin: Origin = Origin.USER) -> NewEvent:
    return NewEvent(origin, "test", "t", payload)


async def new_axon(store: Store) -> str:
    return (await store.create_axon(None, {})).axon_id


async def test_what_cannot_be_done_fails_alone(store: SqliteStore) -> None:
    """All of these share a batch or two; the good ones are numbered without gaps."""
    axon_id = await new_axon(store)
    calls = []
    for number in range(200):
        calls.append(store.publish(axon_id, event(str(number))))
        calls.append(store.publish("axn_none", event()))
        calls.append(store.attach("nobody", 0, AttachRequest(generation=1)))
    results = await asyncio.gather(*calls, return_exceptions=True)
    good, unknown, nobody = results[0::3], results[1::3], results[2::3]
    assert [result.sequence for result in good] == list(range(1, 201))  # type: ignore[union-attr]
    assert all(isinstance(result, AxonNotFound) for result in unknown)
    assert all(isinstance(result, DevboxNotFound) for result in nobody)


async def test_a_bug_in_one_command_fails_it_alone(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    axon_id = await new_axon(store)
    append = base.Draft.append

    def sometimes(draft: base.Draft, axon: base.Axon, new: NewEvent) -> object:
        appended = append(draft, axon, new)
        if new.payload == "bug":
            raise ZeroDivisionError
        return appended

    monkeypatch.setattr(base.Draft, "append", sometimes)
    calls = [store.publish(axon_id, event(p)) for p in ("a", "bug", "b", "bug", "c")]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, ZeroDivisionError) for result in results] == [
        False,
        True,
        False,
        True,
        False,
    ]
    page = await store.read_after(axon_id, 0, 10)
    assert [(e.sequence, e.payload) for e in page.events] == [(1, "a"), (2, "b"), (3, "c")]


async def test_a_full_disk_fails_the_batch_and_nothing_else(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    axon_id = await new_axon(store)
    commit = persist.commit

    def full(connection: sqlite3.Connection, draft: base.Draft) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(persist, "commit", full)
    with pytest.raises(JournalFailed, match="disk is full"):
        await store.publish(axon_id, event())
    monkeypatch.setattr(persist, "commit", commit)
    assert store.is_healthy
    assert (await store.publish(axon_id, event())).sequence == 1


async def test_after_a_disk_error_nothing_is_taken_any_more(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that failed may have lost what it was to keep: only a fresh start knows."""
    axon_id = await new_axon(store)
    commit = persist.commit

    def broken(connection: sqlite3.Connection, draft: base.Draft) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(persist, "commit", broken)
    with pytest.raises(JournalFailed):
        await store.publish(axon_id, event())
    monkeypatch.setattr(persist, "commit", commit)
    assert not store.is_healthy
    with pytest.raises(JournalFailed, match="must be restarted"):
        await store.publish(axon_id, event())


@pytest.mark.parametrize("limit", ["QUEUE_EVENTS_MAX", "QUEUE_BYTES_MAX"])
async def test_the_queue_before_the_disk_is_bounded(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    axon_id = await new_axon(store)
    gate, commit = threading.Event(), persist.commit

    def slow(connection: sqlite3.Connection, draft: base.Draft) -> None:
        gate.wait()
        commit(connection, draft)

    monkeypatch.setattr(persist, "commit", slow)
    monkeypatch.setattr(writer, limit, 10)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(outcome(store, axon_id)) for _ in range(100)]
        await asyncio.sleep(0)
        gate.set()
    results = [call.result() for call in calls]
    assert 10 <= results.count(True) < 100
    page = await store.read_after(axon_id, 0, 1000)
    assert len(page.events) == results.count(True)


async def outcome(store: SqliteStore, axon_id: str) -> bool:
    try:
        await store.publish(axon_id, event("x"))
    except TooBusy:
        return False
    return True


async def test_an_axon_has_a_size(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "AXON_BYTES_MAX", 10)
    axon_id = await new_axon(store)
    await store.publish(axon_id, event("12345678"))
    with pytest.raises(AxonFull):
        await store.publish(axon_id, event("123"))
    await store.publish(axon_id, event("12"))


async def test_timestamps_of_an_axon_never_go_back(store: SqliteStore, clock: Clock) -> None:
    axon_id = await new_axon(store)
    times = []
    for now in (5, 3, 9, 1):
        clock.now = now
        times.append((await store.publish(axon_id, event())).timestamp_ms)
    assert times == [5, 5, 9, 9]


async def test_pages_are_bounded_in_bytes(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_BYTES_MAX", 100)
    axon_id = await new_axon(store)
    for size in (60, 30, 30, 500, 1):
        await store.publish(axon_id, event("x" * size))
    got, cursor = [], 0
    while True:
        page = await store.read_after(axon_id, cursor, 100)
        got.append([e.sequence for e in page.events])
        cursor = page.cursor
        if page.at_end:
            break
    assert got == [[1, 2], [3], [4], [5]]
    history = await store.read_before(axon_id, None, 100)
    assert ([e.sequence for e in history.events], history.has_more) == ([5], True)


async def test_a_filtered_page_moves_its_cursor_over_what_it_left_out(store: SqliteStore) -> None:
    axon_id = await new_axon(store)
    for _ in range(5):
        await store.publish(axon_id, event(origin=Origin.AGENT))
    for only in (
        EventFilter(origins=frozenset({Origin.USER, Origin.EXTERNAL})),
        EventFilter(origins=frozenset({Origin.SYSTEM})),
        EventFilter(event_types=frozenset({"none"})),
    ):
        page = await store.read_after(axon_id, 0, 10, only)
        assert (list(page.events), page.cursor, page.at_end, page.head) == ([], 5, True, 5)


async def test_a_filtered_page_looks_at_a_bounded_number_of_events(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCAN_EVENTS_MAX", 10)
    axon_id = await new_axon(store)
    await store.publish_many(axon_id, [event(str(n), KINDS[n % 7 == 0]) for n in range(1, 36)])
    only = EventFilter(origins=frozenset({KINDS[True]}))
    forward: list[tuple[list[int], int, bool]] = []
    cursor, at_end = 0, False
    while not at_end:
        page = await store.read_after(axon_id, cursor, 5, only)
        cursor, at_end = page.cursor, page.at_end
        forward.append(([e.sequence for e in page.events], cursor, at_end))
    assert forward == [([7], 10, False), ([14], 20, False), ([21, 28], 30, False), ([35], 35, True)]
    backward: list[tuple[list[int], int]] = []
    before = None
    while before != 1:
        history = await store.read_before(axon_id, before, 5, only)
        before = history.cursor
        backward.append(([e.sequence for e in history.events], before))
    assert backward == [([35, 28], 26), ([21], 16), ([14, 7], 6), ([], 1)]
    whole = await newest_first(store, axon_id, None, 5, only)
    assert ([e.sequence for e in whole.events], whole.has_more) == ([35, 28, 21, 14, 7], False)
    part = await newest_first(store, axon_id, None, 4, only)
    assert ([e.sequence for e in part.events], part.has_more) == ([35, 28, 21, 14], True)
    assert (part.cursor, part.head) == (14, 35)


async def test_of_publishers_that_saw_the_same_head_one_wins(store: SqliteStore) -> None:
    """All of them wait in one batch of the writer's: each is decided after the one before."""
    axon_id = await new_axon(store)
    for head in range(3):
        calls = [store.publish(axon_id, event(), f"{head} {n}".encode(), head) for n in range(20)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        won = [result for result in results if isinstance(result, Published)]
        lost = [result for result in results if isinstance(result, HeadMoved)]
        assert ([result.sequence for result in won], len(lost)) == ([head + 1], 19)
        assert {error.head for error in lost} == {head + 1}


async def test_a_batch_that_does_not_fit_leaves_nothing(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "AXON_BYTES_MAX", 10)
    axon_id = await new_axon(store)
    with pytest.raises(AxonFull):
        await store.publish_many(axon_id, [event("12345678"), event("123")])
    assert (await store.publish_many(axon_id, [event("1"), event("2")])).sequence == 2


async def test_more_axons_than_stay_in_memory(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "AXONS_CACHED_MAX", 3)
    axons = [await new_axon(store) for _ in range(10)]
    for round_ in (1, 2):
        for axon_id in axons:
            assert (await store.publish(axon_id, event())).sequence == round_


async def test_a_large_batch_is_one_transaction(store: SqliteStore) -> None:
    axon_id = await new_axon(store)
    commits: list[Committed] = []
    store.listen(commits.append)
    calls = [store.publish(axon_id, event(str(i)), f"{i}".encode()) for i in range(3000)]
    results = await asyncio.gather(*calls)
    assert [result.sequence for result in results] == list(range(1, 3001))
    assert [e.sequence for commit in commits for e in commit.events] == list(range(1, 3001))
    assert len(commits) < 100
    again = await asyncio.gather(
        *(store.publish(axon_id, event(), f"{i}".encode()) for i in range(3000))
    )
    assert again == results


async def test_a_deleted_axons_events_and_old_answers_go_in_small_steps(
    store: SqliteStore, clock: Clock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(commands, "TIDY_ROWS", 10)
    kept, deleted = await new_axon(store), await new_axon(store)
    for number in range(25):
        await store.publish(deleted, event(), f"{number}".encode())
    await store.publish(kept, event(), b"kept")
    assert not await store.tidy()
    await store.delete_axon(deleted)
    clock.now += commands.ANSWERS_KEPT_MS + 1
    await store.publish(kept, event(), b"new")
    steps = 0
    while await store.tidy():
        steps += 1
    assert steps == 3
    with pytest.raises(AxonDeleted):
        await store.read_after(deleted, 0, 10)
    connection = sqlite3.connect(f"file:{tmp_path / 'journal.sqlite3'}?mode=ro", uri=True)
    assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
    assert connection.execute("SELECT count(*) FROM answer").fetchone() == (1,)
    connection.close()
    assert (await store.publish(kept, event(), b"new")).sequence == 2


async def test_a_caller_that_goes_away_undoes_nothing(store: SqliteStore) -> None:
    axon_id = await new_axon(store)
    async with asyncio.TaskGroup() as group:
        call = group.create_task(store.publish(axon_id, event()))
        await asyncio.sleep(0)
        call.cancel()
        reads = [group.create_task(store.read_after(axon_id, 0, 10)) for _ in range(20)]
        await asyncio.sleep(0)
        for read in reads[::2]:
            read.cancel()
    assert (await store.publish(axon_id, event())).sequence == 2
    assert len((await store.read_after(axon_id, 0, 10)).events) == 2


async def test_registering_a_devbox_again_writes_nothing(store: SqliteStore) -> None:
    axon_id = await new_axon(store)
    mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
    binding = DevboxBinding(namespace="ns", name="box", mounts=mounts)
    first = await store.bind_devbox("uid", binding)
    commits: list[Committed] = []
    store.listen(commits.append)
    assert await store.bind_devbox("uid", binding) == first
    assert await store.devboxes() == [first]
    assert commits == []


async def test_a_mount_needs_its_axon(store: SqliteStore) -> None:
    mounts = [MountBinding(index=0, axon_id="axn_none", protocol="acp")]
    with pytest.raises(AxonNotFound):
        await store.bind_devbox("uid", DevboxBinding(namespace="ns", name="b", mounts=mounts))
    assert await store.devboxes() == []
