"""A journal's database on either engine, so that one test body holds both to the same promises."""

import atexit
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from postgres_server import NoPostgres, PostgresServer
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.postgresql.engine import PostgresEngine
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine

ENGINES = ("sqlite", "postgresql")


class Database(Protocol):
    """Opened again it is the same journal, as after a restart."""

    engine_class: type[Engine]

    def engine(self) -> Engine: ...

    def flags(self) -> list[str]:
        """What a process is told to use it."""
        ...

    def count(self, table: str) -> int: ...


class SqliteDatabase:
    engine_class: type[Engine] = SqliteEngine

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def engine(self) -> Engine:
        return SqliteEngine(self._folder)

    def flags(self) -> list[str]:
        return ["--data", str(self._folder)]

    def count(self, table: str) -> int:
        connection = sqlite3.connect(f"file:{self._folder / FILE_NAME}?mode=ro", uri=True)
        (count,) = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        connection.close()
        return int(count)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[EngineStore]:
    """A journal on SQLite whose clock stands still."""
    store = await EngineStore.open(lambda: SqliteEngine(folder), lambda: 1_000)
    try:
        yield store
    finally:
        await store.close()


class PostgresDatabase:
    engine_class: type[Engine] = PostgresEngine

    def __init__(self, url: str) -> None:
        self.url = url

    def engine(self) -> Engine:
        return PostgresEngine(self.url)

    def flags(self) -> list[str]:
        return ["--journal", self.url]

    def count(self, table: str) -> int:
        with psycopg.connect(self.url) as connection:
            found = connection.execute(f"SELECT count(*) FROM ranvier.{table}".encode()).fetchone()
        assert found is not None
        return int(found[0])


def new_database(engine: str, folder: Path) -> Database:
    """An empty journal. Skips the test where there is no PostgreSQL."""
    if engine == "sqlite":
        return SqliteDatabase(folder)
    return PostgresDatabase(server().new_database())


@cache
def _server() -> PostgresServer | str:
    try:
        started = PostgresServer()
    except NoPostgres as reason:
        return str(reason)
    atexit.register(started.remove)
    started.start()
    return started


def server() -> PostgresServer:
    """One server for all tests of a run that do not stop it; or a skip that says why not."""
    found = _server()
    if isinstance(found, str):
        pytest.skip(found)
    return found
