"""Opening a journal: schemas brought up to date in one transaction, foreign ones refused."""

import asyncio
import sqlite3
from pathlib import Path

import psycopg
import pytest
from journal_databases import Database, PostgresDatabase
from postgres_server import PostgresServer
from ranvier_apiserver.errors import JournalFailed, RanvierError
from ranvier_apiserver.journal import migrations
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.migrations import Script
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.postgresql import session
from ranvier_apiserver.journal.postgresql.engine import PostgresEngine

NOTE = ("add_a_note", "CREATE TABLE note (text TEXT NOT NULL);")


def with_scripts(monkeypatch: pytest.MonkeyPatch, *more: tuple[str, str]) -> None:
    """The next migrations of each engine: a name and its text."""
    known = migrations.scripts

    def scripts(engine: str) -> list[Script]:
        released = known(engine)
        numbered = enumerate(more, len(released) + 1)
        return [*released, *(Script(n, f"{n:04}_{name}", text) for n, (name, text) in numbered)]

    monkeypatch.setattr(migrations, "scripts", scripts)


async def opened_with_an_axon(database: Database) -> str:
    store = await EngineStore.open(database.engine, lambda: 1_000)
    axon_id = (await store.create_axon("kept", {})).axon_id
    await store.close()
    return axon_id


async def test_a_journal_of_the_version_before_is_brought_up_to_date(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        with_scripts(before)
        axon_id = await opened_with_an_axon(database)
    with_scripts(monkeypatch, NOTE)
    for _ in range(2):
        store = await EngineStore.open(database.engine, lambda: 1_000)
        assert (await store.axon(axon_id)).name == "kept"
        await store.close()
    assert database.count("note") == 0


async def test_a_migration_takes_as_long_as_it_takes(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may write every event anew; statements of a running journal are cut off sooner."""
    monkeypatch.setattr(session, "_SETTINGS", (*session._SETTINGS, "SET statement_timeout = 50"))
    with_scripts(monkeypatch, ("take_long", "SELECT pg_sleep(0.2);"))
    await opened_with_an_axon(postgres)


async def test_a_migration_that_fails_leaves_the_journal_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        with_scripts(before)
        axon_id = await opened_with_an_axon(database)
    broken = ("break", f"{NOTE[1]} INSERT INTO nowhere VALUES (1);")
    with monkeypatch.context() as patch:
        with_scripts(patch, broken)
        with pytest.raises(RanvierError, match="nowhere"):
            await EngineStore.open(database.engine, lambda: 1_000)
    with monkeypatch.context() as patch:
        with_scripts(patch)
        store = await EngineStore.open(database.engine, lambda: 1_000)
        assert (await store.axon(axon_id)).name == "kept"
        await store.close()
    with pytest.raises((sqlite3.OperationalError, psycopg.Error), match="note"):
        database.count("note")


async def test_a_journal_that_a_newer_program_wrote_is_refused_by_name(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as newer:
        with_scripts(newer, NOTE)
        await opened_with_an_axon(database)
    with_scripts(monkeypatch)
    with pytest.raises(JournalFailed, match=r"\d{4}.* knows up to \d{4}_.*newer Ranvier"):
        await EngineStore.open(database.engine, lambda: 1_000)


async def test_replicas_that_start_at_once_take_turns(postgres: PostgresDatabase) -> None:
    stores = await asyncio.gather(
        *(EngineStore.open(postgres.engine, lambda: 1_000) for _ in range(4))
    )
    for store in stores:
        await store.close()
    assert postgres.count("migration") == len(migrations.scripts("postgresql"))


def test_a_server_that_does_not_sync_is_refused() -> None:
    server = PostgresServer(["fsync=off"])
    try:
        server.start()
        with pytest.raises(JournalFailed, match="fsync = off"):
            PostgresEngine(server.new_database())
    finally:
        server.remove()


def test_a_commit_waits_for_the_disk_whatever_the_server_says(postgres: PostgresDatabase) -> None:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE ranvier SET synchronous_commit = off")
        engine = PostgresEngine(postgres.url)
        chosen = engine._session.run("SHOW synchronous_commit")
        engine.close()
        connection.execute("ALTER ROLE ranvier RESET synchronous_commit")
    assert chosen == [("on",)]


def test_a_database_that_takes_no_writes_is_refused(postgres: PostgresDatabase) -> None:
    name = postgres.url.split("/")[3].split("?")[0]
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    with pytest.raises(JournalFailed, match="takes no writes"):
        PostgresEngine(postgres.url)


def test_a_server_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(JournalFailed, match="can not be reached") as refused:
        PostgresEngine(f"postgresql://me:secret@/x?host={tmp_path}", wait_seconds=0)
    assert "secret" not in str(refused.value)
    assert not (tmp_path / FILE_NAME).exists()
