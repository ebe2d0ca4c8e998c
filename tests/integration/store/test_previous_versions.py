"""A journal that an earlier version wrote is brought up to date with all that is in it.

`tests/golden/journals` holds what each version before a migration had stored; `journal_story` made
it and reads it.
"""

import sqlite3
from pathlib import Path

import psycopg
import pytest
from journal_databases import Database, PostgresDatabase, SqliteDatabase, new_database
from journal_story import GOLDEN, NOW_MS, check, restore_sqlite
from ranvier_apiserver.journal import migrations
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME

OLD = sorted(path.stem for path in GOLDEN.glob("*.sql"))


def restored(old: str, folder: Path) -> Database:
    engine, _ = old.split("-")
    text = (GOLDEN / f"{old}.sql").read_text()
    database = new_database(engine, folder)
    if isinstance(database, PostgresDatabase):
        with psycopg.connect(database.url, autocommit=True) as connection:
            connection.execute(text.encode())
    else:
        restore_sqlite(text, folder)
    return database


def schema(database: Database, folder: Path) -> list[object]:
    """Columns and indexes, in words of the database."""
    if isinstance(database, SqliteDatabase):
        connection = sqlite3.connect(folder / FILE_NAME)
        found = connection.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
        connection.close()
        return list(found)
    assert isinstance(database, PostgresDatabase)
    with psycopg.connect(database.url) as server:
        columns = server.execute(
            "SELECT table_name, column_name, data_type, is_nullable FROM"
            " information_schema.columns WHERE table_schema = 'ranvier' ORDER BY 1, 2"
        ).fetchall()
        indexes = server.execute(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'ranvier' ORDER BY 1"
        ).fetchall()
    return [*columns, *indexes]


def test_every_version_that_was_left_behind_is_kept() -> None:
    expected = {
        f"{engine}-{script.name}"
        for engine in ("sqlite", "postgresql")
        for script in migrations.scripts(engine)[:-1]
    }
    assert set(OLD) == expected


@pytest.mark.parametrize("old", OLD)
async def test_a_journal_of_an_earlier_version_goes_on(old: str, tmp_path: Path) -> None:
    database = restored(old, tmp_path / "old")
    store = await EngineStore.open(database.engine, lambda: NOW_MS + 1000)
    await check(store)
    await store.close()
    fresh = new_database(old.split("-")[0], tmp_path / "new")
    await (await EngineStore.open(fresh.engine, lambda: NOW_MS)).close()
    assert schema(database, tmp_path / "old") == schema(fresh, tmp_path / "new")
