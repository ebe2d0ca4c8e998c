"""What every store keeps to, whichever engine stands below: bounds, batches that fail alone, pages,
upkeep (J1, J4, J6, J8)."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import pytest
from journal_databases import Database
from ranvier.events import NewEvent, Origin
from ranvier.internal import AttachRequest, DevboxBinding, MountBinding
from ranvier_apiserver.errors import (
    AxonDeleted,
    AxonFull,
    AxonNotFound,
    DevboxNotFound,
    HeadMoved,
    InvalidField,
    JournalFailed,
    TooBusy,
)
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.history import newest_first
from ranvier_apiserver.journal import backlog, base, commands, pages
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.store import AxonQuery, Committed, Published, Store

MIB = 1024 * 1024
KINDS = (Origin.AGENT, Origin.SYSTEM)


class Clock(Protocol):
    now: int


def event(payload: str = "{}", origin: Origin = Origin.USER) -> NewEvent:
    return NewEvent(origin, "test", "t", payload)


async def new_axon(store: Store) -> str:
    return (await store.create_axon(None, {})).axon_id


async def test_what_cannot_be_done_fails_alone(store: EngineStore) -> None:
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
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    axon_id = await new_axon(store)
    append = base.Draft.append_all

    def sometimes(draft: base.Draft, axon: base.Axon, batch: Sequence[NewEvent]) -> object:
        appended = append(draft, axon, batch)
        if batch[0].payload == "bug":
            raise ZeroDivisionError
        return appended

    monkeypatch.setattr(base.Draft, "append_all", sometimes)
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
    store: EngineStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    axon_id = await new_axon(store)
    commit = database.engine_class.commit

    def full(engine: Engine, draft: base.Draft) -> None:
        error = sqlite3.OperationalError("database or disk is full")
        error.sqlite_errorname = "SQLITE_FULL"
        raise error

    monkeypatch.setattr(database.engine_class, "commit", full)
    with pytest.raises(JournalFailed, match="disk is full"):
        await store.publish(axon_id, event())
    monkeypatch.setattr(database.engine_class, "commit", commit)
    assert store.is_healthy
    assert (await store.publish(axon_id, event())).sequence == 1


@pytest.mark.parametrize("limit", ["QUEUE_EVENTS_MAX", "QUEUE_BYTES_MAX"])
async def test_the_queue_before_the_disk_is_bounded(
    store: EngineStore, database: Database, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    axon_id = await new_axon(store)
    gate, commit = threading.Event(), database.engine_class.commit

    def slow(engine: Engine, draft: base.Draft) -> None:
        gate.wait()
        commit(engine, draft)

    monkeypatch.setattr(database.engine_class, "commit", slow)
    monkeypatch.setattr(backlog, limit, 10)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(outcome(store, axon_id)) for _ in range(100)]
        await asyncio.sleep(0)
        gate.set()
    results = [call.result() for call in calls]
    assert 10 <= results.count(True) < 100
    page = await store.read_after(axon_id, 0, 1000)
    assert len(page.events) == results.count(True)


async def outcome(store: EngineStore, axon_id: str) -> bool:
    try:
        await store.publish(axon_id, event("x"))
    except TooBusy:
        return False
    return True


async def test_an_axon_has_a_size(store: EngineStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "AXON_BYTES_MAX", 10)
    axon_id = await new_axon(store)
    await store.publish(axon_id, event("12345678"))
    with pytest.raises(AxonFull):
        await store.publish(axon_id, event("123"))
    await store.publish(axon_id, event("12"))


async def test_timestamps_of_an_axon_never_go_back(store: EngineStore, clock: Clock) -> None:
    axon_id = await new_axon(store)
    times = []
    for now in (5, 3, 9, 1):
        clock.now = now
        times.append((await store.publish(axon_id, event())).timestamp_ms)
    assert times == [5, 5, 9, 9]


async def test_pages_are_bounded_in_bytes(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
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


async def test_a_filtered_page_moves_its_cursor_over_what_it_left_out(store: EngineStore) -> None:
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
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
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


async def test_whatever_a_text_holds_comes_back_as_it_went(store: EngineStore) -> None:
    """Among them what databases take for the end of a value, a row, or all rows."""
    marks = [
        "\\",
        "\\N",
        "\\.",
        "\t",
        "\n",
        "\r\n",
        "'",
        '"',
        "\\x00",
        "\\134",
        "\x01\x7f",
        "é\u2028🧠",
        "",
    ]
    texts = [*marks, "a" + "b".join(marks) + "c", "\n\\.\n"]
    axon_id = await new_axon(store)
    for text in texts:
        await store.publish_many(axon_id, [NewEvent(Origin.USER, text, text, text)] * 2)
        mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
        binding = DevboxBinding(namespace="ns", name=text, mounts=mounts)
        await store.bind_devbox(f"uid {text}", binding)
    found = (await store.read_after(axon_id, 0, 1000)).events
    assert [(e.source, e.event_type, e.payload) for e in found] == [
        (text, text, text) for text in texts for _ in range(2)
    ]
    assert {view.name for view in await store.devboxes()} == set(texts)


async def test_of_publishers_that_saw_the_same_head_one_wins(store: EngineStore) -> None:
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
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "AXON_BYTES_MAX", 10)
    axon_id = await new_axon(store)
    with pytest.raises(AxonFull):
        await store.publish_many(axon_id, [event("12345678"), event("123")])
    assert (await store.publish_many(axon_id, [event("1"), event("2")])).sequence == 2


async def test_more_axons_than_stay_in_memory(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "AXONS_CACHED_MAX", 3)
    axons = [await new_axon(store) for _ in range(10)]
    for round_ in (1, 2):
        for axon_id in axons:
            assert (await store.publish(axon_id, event())).sequence == round_


async def test_a_large_batch_is_one_transaction(store: EngineStore) -> None:
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
    store: EngineStore, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
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
    assert (database.count("event"), database.count("answer")) == (2, 1)
    assert (await store.publish(kept, event(), b"new")).sequence == 2


async def test_a_caller_that_goes_away_undoes_nothing(store: EngineStore) -> None:
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


async def test_registering_a_devbox_again_writes_nothing(store: EngineStore) -> None:
    axon_id = await new_axon(store)
    mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
    binding = DevboxBinding(namespace="ns", name="box", mounts=mounts)
    first = await store.bind_devbox("uid", binding)
    commits: list[Committed] = []
    store.listen(commits.append)
    assert await store.bind_devbox("uid", binding) == first
    assert await store.devboxes() == [first]
    assert commits == []


async def test_a_mount_needs_its_axon(store: EngineStore) -> None:
    mounts = [MountBinding(index=0, axon_id="axn_none", protocol="acp")]
    with pytest.raises(AxonNotFound):
        await store.bind_devbox("uid", DevboxBinding(namespace="ns", name="b", mounts=mounts))
    assert await store.devboxes() == []


async def test_a_restart_changes_nothing(database: Database) -> None:
    store = await EngineStore.open(database.engine, lambda: 1_000_000)
    axon = await store.create_axon("name", {"a": "1", "ü": "∀"})
    payload = "line\nünï\0 \u2028 \U0001f9e0" * 100
    await store.publish(axon.axon_id, event(payload), b"once")
    mounts = [MountBinding(index=0, axon_id=axon.axon_id, protocol="acp")]
    binding = DevboxBinding(namespace="ns", name="box", mounts=mounts)
    await store.bind_devbox("uid", binding)
    await store.attach("uid", 0, AttachRequest(generation=1))
    before = await store.devboxes()
    await store.close()
    again = await EngineStore.open(database.engine, lambda: 1_000_000)
    assert await again.axon(axon.axon_id) == axon
    assert await again.devboxes() == before
    (found,) = (await again.read_after(axon.axon_id, 0, 10)).events
    assert found.payload == payload
    assert (await again.publish(axon.axon_id, event(), b"once")).sequence == 1
    assert (await again.publish(axon.axon_id, event())).sequence == 2
    await again.close()


@pytest.mark.parametrize("text", ["a\0b", "\0"])
async def test_what_one_engine_could_not_hold_is_refused_by_all(
    store: EngineStore, text: str
) -> None:
    """PostgreSQL's text has no NUL. Others in the same batch must not suffer from one."""
    axon_id = await new_axon(store)
    refused: list[Callable[[], object]] = [
        lambda: store.publish(axon_id, NewEvent(Origin.USER, text, "t", "")),
        lambda: store.publish(axon_id, NewEvent(Origin.USER, "s", text, "")),
        lambda: store.create_axon(text, {}),
        lambda: store.create_axon("n", {text: "v"}),
        lambda: store.create_axon("n", {"k": text}),
        lambda: store.update_axon(axon_id, {"k": text}),
    ]
    calls = [store.publish(axon_id, event()), *(call() for call in refused), store.axon(text)]
    first, *others, unknown = await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[arg-type]
    assert getattr(first, "sequence", None) == 1
    assert [type(other) for other in others] == [InvalidField] * len(refused)
    assert isinstance(unknown, AxonNotFound)


async def test_lists_filter_alike(store: EngineStore) -> None:
    ids = [
        (await store.create_axon(name, metadata)).axon_id
        for name, metadata in [
            ("Fixer", {"team": "a"}),
            ("fixture", {"team": "b", "x": "1"}),
            (None, {}),
            ("10%_off", {"team": "a?"}),
        ]
    ]

    async def found(**terms: object) -> list[int]:
        listed = await store.axons(AxonQuery(limit=10, **terms))  # type: ignore[arg-type]
        assert listed.total == len(listed.axons)
        return [ids.index(axon.axon_id) for axon in listed.axons]

    assert await found() == [3, 2, 1, 0]
    assert await found(name_prefix="fix") == [1]
    assert await found(search="FIX") == [1, 0]
    assert await found(search="%_") == [3]
    assert await found(search=ids[2].upper()) == [2]
    assert await found(metadata={"team": ["a", "b"]}) == [1, 0]
    assert await found(metadata={"team": ["b"], "x": ["1"]}) == [1]
    assert await found(metadata={"team": ["a?"]}) == [3]
    assert await found(metadata={"nothing": ["a"]}) == []
    page = await store.axons(AxonQuery(limit=2, starting_after=ids[3]))
    assert [axon.axon_id for axon in page.axons] == [ids[2], ids[1]]
    assert page.has_more
