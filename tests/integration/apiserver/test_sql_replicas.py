"""Users' SQL kept on PostgreSQL: every replica sees what was answered, and nothing of what was not.

API servers are real processes where they are killed; otherwise workers of two replicas in this one.
"""

import asyncio
import random
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import httpx
import psycopg
import pytest
from api_process import ApiServer, create, publish, running
from journal_databases import PostgresDatabase, server
from preloaded import Loaded
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.axon_sql.files import files_of, path_of
from ranvier_apiserver.axon_sql.kept.copies import Copies
from ranvier_apiserver.axon_sql.kept.pages import Kept
from ranvier_apiserver.axon_sql.kept.stay import locking
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Outcome
from ranvier_apiserver.journal.postgresql.session import PostgresSession
from sql_desk import SqlDesk

DEADLINE = 30.0
SLOW = (
    "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
)


@pytest.fixture
def database() -> PostgresDatabase:
    return PostgresDatabase(server().new_database())


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[SqlDesk, SqlDesk]]:
    """Two replicas' workers. The first has the sizes of a small database."""
    events = {"a": [NewEvent(Origin.USER, "test", "t", "{}")], "b": []}
    bounds = Limits(seconds=5, file_bytes=1024 * 1024)
    with (
        closing(SqlDesk(tmp_path, events, bounds, "postgresql")) as one,
        closing(SqlDesk(tmp_path, events, bounds, of=one)) as two,
    ):
        yield one, two


@pytest.fixture
def servers(
    tmp_path: Path, database: PostgresDatabase, loaded: Loaded
) -> Iterator[tuple[ApiServer, ApiServer]]:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        folder.mkdir()
    for one in running(folders[0], database.flags(), loaded):
        for two in running(folders[1], database.flags(), loaded):
            yield one, two


@pytest.fixture
async def clients(
    servers: tuple[ApiServer, ApiServer],
) -> AsyncIterator[tuple[httpx.AsyncClient, httpx.AsyncClient]]:
    async with servers[0].client() as one, servers[1].client() as two:
        yield one, two


async def query(api: httpx.AsyncClient, axon_id: str, text: str, *params: Any) -> httpx.Response:
    body = {"sql": text, "params": list(params)}
    return await api.post(f"/v1/axons/{axon_id}/sql/query", json=body)


async def rows(api: httpx.AsyncClient, axon_id: str, text: str) -> Any:
    answer = await query(api, axon_id, text)
    assert answer.status_code == 200, answer.text
    return answer.json()["rows"]


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not fact():  # noqa: ASYNC110 - facts of other processes have no event
            await asyncio.sleep(0.02)


# --- processes


async def test_what_one_replica_wrote_the_other_reads(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    one, two = clients
    axon_id = await create(one)
    assert (await query(one, axon_id, "CREATE TABLE t (a)")).status_code == 200
    for n in range(1, 5):
        writer, reader = (one, two) if n % 2 else (two, one)
        assert (await query(writer, axon_id, "INSERT INTO t VALUES (?)", n)).status_code == 200
        await publish(writer, axon_id, payload=str(n))
        both = "SELECT count(*), (SELECT max(payload) FROM rl_axon_events) FROM t"
        assert await rows(reader, axon_id, both) == [[n, str(n)]]


async def test_writers_at_both_replicas_take_turns(
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
) -> None:
    axon_id = await create(clients[0])
    await query(clients[0], axon_id, "CREATE TABLE counter AS SELECT 0 AS n")
    add = "UPDATE counter SET n = n + 1 RETURNING n"
    answers = await asyncio.gather(*(query(clients[n % 2], axon_id, add) for n in range(20)))
    assert sorted(answer.json()["rows"][0][0] for answer in answers) == list(range(1, 21))
    assert await rows(clients[1], axon_id, "SELECT n FROM counter") == [[20]]


async def test_a_replica_killed_in_mid_write_leaves_the_version_before(
    servers: tuple[ApiServer, ApiServer],
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
    database: PostgresDatabase,
) -> None:
    """The other replica reads meanwhile, and writes as soon as the first one is gone."""
    one, two = clients
    axon_id = await create(one)
    await query(one, axon_id, "CREATE TABLE t (a)")
    await query(one, axon_id, "INSERT INTO t VALUES (1)")
    writing = asyncio.create_task(query(one, axon_id, SLOW))
    with psycopg.connect(database.url, autocommit=True) as connection:
        held = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted"
        await until(lambda: connection.execute(held).rowcount == 1)
    assert await rows(two, axon_id, "SELECT a FROM t") == [[1]]
    servers[0].kill()
    with pytest.raises(httpx.TransportError):
        await writing
    assert (await query(two, axon_id, "INSERT INTO t VALUES (2)")).status_code == 200
    assert await rows(two, axon_id, "SELECT a FROM t") == [[1], [2]]


async def test_a_database_kept_on_postgresql_goes_with_its_axon(
    servers: tuple[ApiServer, ApiServer],
    clients: tuple[httpx.AsyncClient, httpx.AsyncClient],
    database: PostgresDatabase,
) -> None:
    kept, gone, crashed = [await create(clients[0]) for _ in range(3)]
    for axon_id in (kept, gone, crashed):
        await query(clients[0], axon_id, "CREATE TABLE t (a)")
    assert database.count("axon_sql") == 3
    await clients[1].delete(f"/v1/axons/{gone}")
    await until(lambda: database.count("axon_sql") == 2)
    # Deleted while no replica was there to hear of it: the next start finds what is left.
    for replica in servers:
        replica.kill()
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(
            "UPDATE ranvier.axon SET deleted_at_ms = 1 WHERE axon_id = %s", [crashed]
        )
    servers[0].start()
    async with servers[0].client() as api:
        await until(lambda: database.count("axon_sql") == 1)
        assert (await query(api, kept, "SELECT * FROM t")).status_code == 200


# --- workers


def test_a_writer_waits_for_one_elsewhere_and_is_told_when_it_takes_too_long(
    pair: tuple[SqlDesk, SqlDesk],
) -> None:
    one, two = pair
    one.answer("a", "CREATE TABLE t (a)")
    assert isinstance(two.database, PostgresDatabase)
    with closing(PostgresSession(two.database.url)) as other:
        other.run("BEGIN")
        other.execute(*locking(two.axons["a"].number))
        assert two.replica is not None
        two.replica.session.run("SET lock_timeout = '100ms'")
        assert two.run("a", "INSERT INTO t VALUES (1)").outcome is Outcome.BUSY
        assert two.rows("a", "SELECT * FROM t") == []
        two.answer("b", "CREATE TABLE t (a)")
    two.answer("a", "INSERT INTO t VALUES (1)")


def test_only_pages_that_changed_are_kept_and_brought(pair: tuple[SqlDesk, SqlDesk]) -> None:
    one, two = pair
    one.answer("a", "CREATE TABLE t (id INTEGER PRIMARY KEY, a)")
    fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)"
    one.answer("a", f"INSERT INTO t (a) {fill} SELECT randomblob(3000) FROM n")
    two.rows("a", "SELECT count(*) FROM t")
    two.answer("a", "UPDATE t SET a = zeroblob(3000) WHERE id = 50")
    assert isinstance(two.database, PostgresDatabase)
    with psycopg.connect(two.database.url) as connection:
        found = connection.execute(
            "SELECT version, count(*) FROM ranvier.axon_sql_page GROUP BY 1 ORDER BY 1"
        ).fetchall()
    by_version = {int(version): int(count) for version, count in found}
    assert by_version[3] <= 2
    assert sum(by_version.values()) > 100
    assert one.rows("a", "SELECT count(*) FROM t WHERE a = zeroblob(3000)") == [[1]]


def test_what_failed_is_not_kept_nor_seen_again(pair: tuple[SqlDesk, SqlDesk]) -> None:
    one, two = pair
    one.answer("a", "CREATE TABLE t (a UNIQUE)")
    failing = ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1)")
    assert "error" in one.answer("a", failing)["results"][1]
    one.limits = Limits(seconds=0.3, file_bytes=1024 * 1024)
    one.new_worker()
    assert one.run("a", SLOW).outcome in (Outcome.STOPPED, Outcome.SQL_ERROR)
    for desk in (one, two):
        assert desk.rows("a", "SELECT * FROM t") == []


def test_a_commit_that_the_server_refuses_is_nowhere(pair: tuple[SqlDesk, SqlDesk]) -> None:
    """Committed in the copy, and not kept: the copy is thrown away."""
    one, two = pair
    one.answer("a", "CREATE TABLE t (a)")
    assert isinstance(one.database, PostgresDatabase)
    with psycopg.connect(one.database.url, autocommit=True) as connection:
        connection.execute("ALTER TABLE ranvier.axon_sql ADD CHECK (version < 2)")
        assert one.run("a", "INSERT INTO t VALUES (1)").outcome is Outcome.NOT_WRITTEN
        connection.execute("ALTER TABLE ranvier.axon_sql DROP CONSTRAINT axon_sql_version_check")
    for desk in (one, two):
        assert desk.rows("a", "SELECT * FROM t") == []
    two.answer("a", "INSERT INTO t VALUES (2)")
    assert one.rows("a", "SELECT a FROM t") == [[2]]


def test_an_axon_deleted_meanwhile_keeps_nothing(pair: tuple[SqlDesk, SqlDesk]) -> None:
    one, _ = pair
    assert isinstance(one.database, PostgresDatabase)
    with psycopg.connect(one.database.url, autocommit=True) as connection:
        connection.execute("UPDATE ranvier.axon SET deleted_at_ms = 1 WHERE name = 'a'")
    assert one.run("a", "CREATE TABLE t (a)").outcome is Outcome.AXON_DELETED
    assert one.database.count("axon_sql_page") == 0
    assert files_of(one.files) == []


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE ranvier.axon_sql_page SET content = set_byte(content, 50, 7) WHERE page_number = 2",
        "DELETE FROM ranvier.axon_sql_page WHERE page_number = 2",
    ],
    ids=["changed", "missing"],
)
def test_a_page_that_is_not_what_was_kept_is_reported(
    pair: tuple[SqlDesk, SqlDesk], damage: str
) -> None:
    one, two = pair
    one.answer("a", "CREATE TABLE t (a)")
    assert isinstance(one.database, PostgresDatabase)
    with psycopg.connect(one.database.url, autocommit=True) as connection:
        connection.execute(damage.encode())
    assert two.run("a", "SELECT * FROM t").outcome is Outcome.FILE_DAMAGED


def test_replicas_in_any_order_do_what_one_database_would(pair: tuple[SqlDesk, SqlDesk]) -> None:
    chance = random.Random(7)
    model = sqlite3.connect(":memory:")
    for statement in ("CREATE TABLE t (id INTEGER PRIMARY KEY, a)", "CREATE INDEX i ON t (a)"):
        model.execute(statement)
        pair[0].answer("a", statement)
    for step in range(80):
        desk = chance.choice(pair)
        if chance.random() < 0.1:
            desk.new_worker()
        low, size = chance.randrange(60), chance.randrange(9000)
        statement = chance.choice(
            [
                f"INSERT OR REPLACE INTO t VALUES ({low}, zeroblob({size}))",
                f"DELETE FROM t WHERE id BETWEEN {low} AND {low + 5}",
                f"UPDATE t SET a = {step} WHERE id < {low}",
                "SELECT 1",
            ]
        )
        if chance.random() < 0.2:
            desk.answer("a", (statement, "SELECT nonsense"))
        else:
            desk.answer("a", statement)
            model.execute(statement)
        everything = "SELECT id, coalesce(length(a), 0), typeof(a) FROM t ORDER BY id"
        expected = [list(row) for row in model.execute(everything)]
        assert chance.choice(pair).rows("a", everything) == expected, (step, statement)
    for desk in pair:
        desk.rows("a", "SELECT 1")
        copy = apsw.Connection(str(path_of(desk.files, desk.axons["a"].axon_id)))
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        copy.close()


# --- copies


def test_copies_take_a_bounded_room_and_the_oldest_goes_first() -> None:
    with closing(Copies(bytes_max=3 * 4096)) as copies:
        for name in ("a", "b", "c"):
            copies.path(name).write_bytes(bytes(4096))
            copies.give(name, Kept(1, 1))
        copies.give("a", copies.take("a"))
        copies.path("d").write_bytes(bytes(4096))
        copies.give("d", Kept(1, 1))
        assert files_of(copies.folder) == ["a", "c", "d"]
        assert copies.take("b") == Kept()


def test_the_copies_of_a_killed_replica_go_and_those_of_a_living_one_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    killed = tmp_path / "ranvier-sql-killed"
    killed.mkdir()
    (killed / "lock").touch()
    (killed / "axn.sqlite3").touch()
    (tmp_path / "ranvier-sql-of-another").mkdir()
    with closing(Copies()) as first, closing(Copies()) as second:
        left = {path.name for path in tmp_path.iterdir()}
        assert left == {"ranvier-sql-of-another", first.folder.name, second.folder.name}
    assert len(list(tmp_path.iterdir())) == 1
