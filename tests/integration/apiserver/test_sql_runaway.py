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

STRICT = Limits(seconds=0.5, kill_grace_seconds=0.5)
PATIENT = Limits(seconds=300)
"""A runaway under these ends within no test."""

BOUND_SECONDS = 30.0
"""Far beyond `STRICT`, for machines that do other things too; a runaway takes minutes and more."""

LOOP_CPU_SECONDS = 0.25
"""What a runaway may cost the event loop while it burns up a second of a worker."""

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
    """Two engines over the same databases: what ends by itself is asked of the patient one, for on
    a busy machine it too may take as long as a runaway is given."""

    strict: AxonSql
    patient: AxonSql
    greedy: str
    other: str

    async def query(self, axon_id: str, sql: str) -> bytes:
        return await self.patient.query(axon_id, Statement(sql), True, None)

    async def run_away(self, sql: str) -> bytes:
        return await self.strict.query(self.greedy, Statement(sql), True, None)


@pytest.fixture(params=ENGINES)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    database = new_database(request.param, tmp_path)
    store = await EngineStore.open(database.engine, lambda: 1_000)
    axons = [(await store.create_axon(None, {})).axon_id for _ in range(2)]
    for axon_id in axons:
        event = NewEvent(Origin.USER, "test", "t", "{}")
        await asyncio.gather(*(store.publish(axon_id, event) for _ in range(100)))

    def engine(limits: Limits) -> AxonSql:
        home: Home = OwnFiles(tmp_path / "sql", tmp_path / FILE_NAME, limits)
        if isinstance(database, PostgresDatabase):
            home = PostgresHome(database.url, limits)
        return AxonSql(home, store.axon, lambda: 1_000)

    place = Place(engine(STRICT), engine(PATIENT), *axons)
    try:
        await place.query(place.greedy, "CREATE TABLE own (i INTEGER)")
        yield place
    finally:
        await place.strict.close()
        await place.patient.close()
        await store.close()


async def _stopped(place: Place, sql: str) -> tuple[RanvierError, float]:
    """How it was refused, and the CPU time of the event loop meanwhile."""
    began = time.thread_time()
    async with asyncio.timeout(BOUND_SECONDS):
        with pytest.raises((SqlStopped, SqlRefused)) as refused:
            await place.run_away(sql)
    return refused.value, time.thread_time() - began


@pytest.mark.parametrize("sql", ENDLESS.values(), ids=ENDLESS)
async def test_what_never_ends_is_stopped_and_leaves_nothing(place: Place, sql: str) -> None:
    await place.query(place.greedy, "CREATE TABLE bomb (i)")
    all_events = ", ".join(f"rl_axon_events e{n}" for n in range(6))
    fuse = f"INSERT INTO own SELECT count(*) FROM {all_events}"
    await place.query(place.greedy, f"CREATE TRIGGER fuse AFTER INSERT ON bomb BEGIN {fuse}; END")
    error, cpu_seconds = await _stopped(place, sql)
    assert isinstance(error, SqlStopped), error
    assert cpu_seconds < LOOP_CPU_SECONDS
    after = await place.query(place.greedy, "SELECT count(*) FROM own")
    assert b'"rows":[[0]]' in after, "nothing of it was kept"


@pytest.mark.parametrize("sql", GREEDY.values(), ids=GREEDY)
async def test_what_takes_too_much_memory_is_stopped(place: Place, sql: str) -> None:
    _, cpu_seconds = await _stopped(place, sql)
    assert cpu_seconds < LOOP_CPU_SECONDS
    assert b'"rows":[[100]]' in await place.query(
        place.greedy, "SELECT count(*) FROM rl_axon_events"
    )


async def test_one_axon_never_takes_all_workers(place: Place) -> None:
    """As many endless queries of one axon as may wait; another axon is answered all the same."""
    endless = list(ENDLESS.values()) * 2
    greedy = [
        asyncio.create_task(place.query(place.greedy, sql))
        for sql in endless[: limits.AXON_WAITING_MAX]
    ]
    async with asyncio.timeout(BOUND_SECONDS):
        for _ in range(10):
            count = await place.query(place.other, "SELECT count(*) FROM rl_axon_events")
            assert b'"rows":[[100]]' in count
    assert not any(task.done() for task in greedy)
    for task in greedy:
        task.cancel()
    ended = await asyncio.gather(*greedy, return_exceptions=True)
    assert {type(error) for error in ended} == {asyncio.CancelledError}


async def test_a_crowd_is_told_to_come_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "AXON_WAITING_MAX", 4)
    endless = ENDLESS["recursion without end"]
    most = limits.AXON_WORKERS_MAX + limits.AXON_WAITING_MAX
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_outcome(place, endless)) for _ in range(most + 5)]
    outcomes = [task.result() for task in tasks]
    assert outcomes.count(TooBusy) >= 5
    assert set(outcomes) <= {TooBusy, SqlStopped}


async def _outcome(place: Place, sql: str) -> type[Exception]:
    try:
        await place.run_away(sql)
    except RanvierError as error:
        return type(error)
    raise AssertionError("it ended by itself")


async def test_a_writer_waits_for_another_of_the_same_axon(place: Place) -> None:
    writes = [place.query(place.greedy, f"INSERT INTO own VALUES ({n})") for n in range(10)]
    await asyncio.gather(*writes)
    assert b'"rows":[[10]]' in await place.query(place.greedy, "SELECT count(*) FROM own")


async def test_a_worker_that_dies_costs_one_answer(place: Place) -> None:
    for worker in place.patient._pool._all:
        worker.kill()
        await worker.ended()
    assert b'"rows":[[1]]' in await place.query(place.greedy, "SELECT 1")
