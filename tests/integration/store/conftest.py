"""Every test that takes `database` or `store` runs on each engine."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from journal_databases import ENGINES, Database, PostgresDatabase, new_database, server
from postgres_server import PostgresServer
from ranvier_apiserver.journal.engine_store import EngineStore


class Clock:
    """Time as the store sees it, in milliseconds."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=ENGINES)
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    return new_database(request.param, tmp_path)


@pytest.fixture
async def store(database: Database, clock: Clock) -> AsyncIterator[EngineStore]:
    subject = await EngineStore.open(database.engine, clock)
    yield subject
    await subject.close()


@pytest.fixture
def postgres() -> PostgresDatabase:
    """An empty database, for what only PostgreSQL can do."""
    return PostgresDatabase(server().new_database())


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server of the test's own, to stop and start."""
    server()
    subject = PostgresServer()
    subject.start()
    yield subject
    subject.remove()
