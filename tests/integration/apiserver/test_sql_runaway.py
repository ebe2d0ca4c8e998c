"""Runaway SQL is stopped within its limit, and meanwhile nobody else feels it."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from journal_databases import ENGINES, PostgresDatabase, new_database
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.axon_sql.engine import AxonSql
from ranvier_apiserver.axon_sql.homes import Home, OwnFiles
from ranvier_apiserver.axon_sql.kept.home import PostgresHome
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Statement
from ranvier_apiserver.errors import RanvierError, SqlRefused, SqlStopped, TooBusy
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME

LIMITS = Limits(seconds=0.5, kill_grace_seconds=0.5)
STOPPED_SECONDS = 5.0
"""Far beyond time and grace, for machines that do other things too."""

OTHERS_SECONDS = 2.0
LOOP_SECONDS = 0.25
"""What the event loop may be held up by; the runaway itself takes a second."""

_N = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n{})"
_LONG = "printf('%.*c', 7000000, 'a')"
ENDLESS = {
    "recursion without end": f"{_N.format('')} SELECT count(*) FROM n",
    "a cross join": f"{_N.format(' LIMIT 4000')} SELECT count(*) FROM n a, n b, n c, n d",
    "a cross join of events": "SELECT count(*) FROM rl_axon_events a, rl_axon_events b,"
    " rl_axon_events c, rl_axon_events d, rl_axon_events e, rl_axon_events f",
    # One step each, of minutes: SQLite never looks at the clock, the process is ended.
    "instr of a long text": f"SELECT instr({_LONG}, substr({_LONG}, 1, 2000000) || 'b')",
    "LIKE of a long text": f"SELECT {_LONG} LIKE '%{'a' * 900}b%'",
    "GLOB of a long text": f"SELECT {_LONG} GLOB '*{'a' * 900}b*'",
    "a correlated subquery": f"{_N.format(' LIMIT 100000')} SELECT sum((SELECT count(*) FROM n b"
    " WHERE b.i < a.i)) FROM n a",
    "a trigger of endless work": "INSERT INTO bomb VALUES (1)",
    "an endless write": f"INSERT INTO own {_N.format('')} SELECT i FROM n",
    "replace in replace": f"{_N.format('')} SELECT sum(length(replace(hex(zeroblob(200000)),"
    " '0', 'ab'))) FROM n",
}
GREEDY = {
    "group_concat": f"{_N.format('')} SELECT length(group_concat(hex(zeroblob(100000)))) FROM n",
    "a sort of large rows": f"{_N.format(' LIMIT 10000')} SELECT hex(randomblob(50000)) AS x FROM n"
    " ORDER BY x",
    "a doubling value": "WITH RECURSIVE d(x) AS (SELECT 'x' UNION ALL SELECT x || x FROM d)"
    " SELECT max(length(x)) FROM d",
    "JSON of JSON": f"{_N.format('')} SELECT length(json_group_array(hex(zeroblob(100000))))"
    " FROM n",
    "a set that never ends": "WITH RECURSIVE s(x) AS (SELECT hex(randomblob(1000)) UNION"
    " SELECT hex(randomblob(1000)) FROM s) SELECT count(*) FROM s",
    "many large columns": "SELECT " + ",".join(["zeroblob(7000000)"] * 100),
}


@dataclass
class Place:
    engine: AxonSql
    greedy: str
    other: str

    async def query(self, axon_id: str, sql: str) -> bytes:
        return await self.engine.query(axon_id, Statement(sql), True, None)


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    database = new_database(request.param, tmp_path)
    store = await EngineStore.open(database.engine, lambda: 1_000)
    axons = [(await store.create_axon(None, {})).axon_id for _ in range(2)]
    for axon_id in axons:
        event = NewEvent(Origin.USER, "test", "t", "{}")
        await asyncio.gather(*(store.publish(axon_id, event) for _ in range(100)))
    home: Home = OwnFiles(tmp_path / "sql", tmp_path / FILE_NAME, LIMITS)
    if isinstance(database, PostgresDatabase):
        home = PostgresHome(database.url, LIMITS)
    engine = AxonSql(home, store.axon, lambda: 1_000)
    place = Place(engine, *axons)
    # At once, so that a worker for each has started when the time of a runaway begins.
    await asyncio.gather(*(place.query(i, "CREATE TABLE own (i INTEGER)") for i in axons))
    yield place
    await engine.close()
    await store.close()


async def _meanwhile(place: Place, done: asyncio.Event) -> tuple[int, float, float]:
    """Queries of another axon: how many were answered until done, the slowest, the event loop's
    longest gap."""
    count, slowest, gap = 0, 0.0, 0.0

    async def watch() -> None:
        nonlocal gap
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.01)
            gap = max(gap, time.perf_counter() - began - 0.01)

    async with asyncio.TaskGroup() as group:
        group.create_task(watch())
        while not done.is_set():
            began = time.perf_counter()
            await place.query(place.other, "SELECT count(*), max(payload) FROM rl_axon_events")
            count, slowest = count + (not done.is_set()), max(slowest, time.perf_counter() - began)
    return count, slowest, gap


async def _stopped(place: Place, sql: str) -> tuple[RanvierError, float, tuple[int, float, float]]:
    done = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        others = group.create_task(_meanwhile(place, done))
        began = time.perf_counter()
        try:
            with pytest.raises((SqlStopped, SqlRefused)) as refused:
                await place.query(place.greedy, sql)
        finally:
            done.set()
    return refused.value, time.perf_counter() - began, others.result()


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_is_stopped_while_others_are_answered(place: Place, sql: str) -> None:
    await place.query(place.greedy, "CREATE TABLE bomb (i)")
    all_events = ", ".join(f"rl_axon_events e{n}" for n in range(6))
    fuse = f"INSERT INTO own SELECT count(*) FROM {all_events}"
    await place.query(place.greedy, f"CREATE TRIGGER fuse AFTER INSERT ON bomb BEGIN {fuse}; END")
    error, seconds, (count, slowest, gap) = await _stopped(place, sql)
    assert isinstance(error, SqlStopped), error
    assert seconds < STOPPED_SECONDS
    assert count >= 1
    assert slowest < OTHERS_SECONDS
    assert gap < LOOP_SECONDS
    after = await place.query(place.greedy, "SELECT count(*) FROM own")
    assert b'"rows":[[0]]' in after, "nothing of it was kept"


@pytest.mark.parametrize("sql", GREEDY.values(), ids=GREEDY)
async def test_what_takes_too_much_memory_is_stopped_while_others_are_answered(
    place: Place, sql: str
) -> None:
    _, seconds, (_, slowest, gap) = await _stopped(place, sql)
    assert seconds < STOPPED_SECONDS
    assert slowest < OTHERS_SECONDS
    assert gap < LOOP_SECONDS
    assert b'"rows":[[100]]' in await place.query(
        place.greedy, "SELECT count(*) FROM rl_axon_events"
    )


async def test_one_axon_never_takes_all_workers(place: Place) -> None:
    """As many endless queries of one axon as may wait; another axon is answered at once."""
    endless = ENDLESS["recursion without end"]
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(_outcome(place, place.greedy, endless))
            for _ in range(limits.AXON_WORKERS_MAX * 3)
        ]
        await asyncio.sleep(0)
        began = time.perf_counter()
        await place.query(place.other, "SELECT 1")
        seconds = time.perf_counter() - began
    assert seconds < OTHERS_SECONDS
    assert {task.result() for task in tasks} == {SqlStopped}


async def test_a_crowd_is_told_to_come_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AXON_WAITING_MAX", 4)
    endless = ENDLESS["recursion without end"]
    most = limits.AXON_WORKERS_MAX + limits.AXON_WAITING_MAX
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(place, place.greedy, endless)) for _ in range(most + 5)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count(TooBusy) >= 5
    assert set(outcomes) <= {TooBusy, SqlStopped}


async def _outcome(place: Place, axon_id: str, sql: str) -> type[Exception]:
    try:
        await place.query(axon_id, sql)
    except RanvierError as error:
        return type(error)
    raise AssertionError("it ended by itself")


async def test_a_writer_waits_for_another_of_the_same_axon(place: Place) -> None:
    writes = [place.query(place.greedy, f"INSERT INTO own VALUES ({n})") for n in range(10)]
    await asyncio.gather(*writes)
    assert b'"rows":[[10]]' in await place.query(place.greedy, "SELECT count(*) FROM own")


async def test_a_worker_that_dies_costs_one_answer(place: Place) -> None:
    for worker in place.engine._pool._all:
        worker.kill()
        await worker.ended()
    assert b'"rows":[[1]]' in await place.query(place.greedy, "SELECT 1")
