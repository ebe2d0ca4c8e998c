"""The write-ahead log of the SQLite store: used over and over, however it is written and read."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path

import pytest
from journal_databases import opened
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.journal import checkpoint, opening, pace
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine

FACT_SECONDS_MAX = 20
KIB = 1024
PUBLISHERS, EACH = 8, 400
EVENT = NewEvent(Origin.USER, "test", "t", "x" * 4 * KIB)
WRITTEN = PUBLISHERS * EACH * 4 * KIB


async def publish_without_a_break(store: EngineStore) -> None:
    axon = await store.create_axon(None, {})

    async def publish() -> None:
        for _ in range(EACH):
            await store.publish(axon.axon_id, EVENT)

    async with asyncio.TaskGroup() as group:
        for _ in range(PUBLISHERS):
            group.create_task(publish())
    assert (await store.read_after(axon.axon_id, 0, 1)).head == PUBLISHERS * EACH


def log_bytes(folder: Path) -> int:
    return (folder / f"{opening.FILE_NAME}-wal").stat().st_size


@contextmanager
def reading(folder: Path) -> Iterator[None]:
    """A reader in the log that stays, as a backup does."""
    with closing(opening.read_only(folder / opening.FILE_NAME)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM event").fetchone()
        yield
        connection.execute("ROLLBACK")


async def test_under_unbroken_writing_the_log_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.005)
    monkeypatch.setattr(checkpoint, "LOG_PAGES_MAX", 20)
    async with opened(tmp_path) as store:
        await publish_without_a_break(store)
        assert log_bytes(tmp_path) < WRITTEN / 2


async def test_a_reader_that_stays_stops_no_publisher_and_the_log_is_shortened_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.005)
    monkeypatch.setattr(checkpoint, "LOG_BYTES_MAX", WRITTEN // 4)
    monkeypatch.setattr(checkpoint, "ROUNDS_WITHOUT_FORCE", 50)
    async with opened(tmp_path) as store:
        axon = await store.create_axon(None, {})
        with reading(tmp_path):
            await publish_without_a_break(store)
            assert log_bytes(tmp_path) >= WRITTEN
        async with asyncio.timeout(FACT_SECONDS_MAX):
            while log_bytes(tmp_path) > WRITTEN // 4:
                await store.publish(axon.axon_id, EVENT)


async def test_while_force_waits_for_readers_the_event_loop_commits_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop would wait with it, and everybody else with the loop."""
    monkeypatch.setattr(checkpoint, "LOG_BYTES_MAX", 0)
    monkeypatch.setattr(checkpoint, "LOG_PAGES_MAX", 1_000_000)
    monkeypatch.setattr(checkpoint, "ROUNDS_WITHOUT_FORCE", 0)
    monkeypatch.setattr(pace, "REST_COMMITS", 0)
    monkeypatch.setattr(pace, "QUICK_SECONDS", FACT_SECONDS_MAX)
    seconds: dict[str, list[float]] = {}

    def timed(engine: SqliteEngine, draft: Draft) -> None:
        began = time.perf_counter()
        commit(engine, draft)
        thread = threading.current_thread().name
        seconds.setdefault(thread, []).append(time.perf_counter() - began)

    commit = SqliteEngine.commit
    monkeypatch.setattr(SqliteEngine, "commit", timed)
    # So long that no machine's own slowness is taken for it.
    waits = 2.0
    monkeypatch.setattr(opening, "CHECKPOINT_BUSY_MS", int(1000 * waits))
    async with opened(tmp_path) as store, asyncio.timeout(FACT_SECONDS_MAX):
        axon = await store.create_axon(None, {})
        with reading(tmp_path):
            while sum(took > waits / 2 for took in chain(*seconds.values())) < 2:
                await store.publish(axon.axon_id, EVENT)
    here = seconds[threading.current_thread().name]
    assert max(here) < waits / 2


async def test_a_checkpoint_that_fails_fails_no_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.005)
    monkeypatch.setattr(checkpoint, "LOG_PAGES_MAX", 0)
    failed = []

    def full(self: checkpoint.Checkpointer, connection: sqlite3.Connection) -> int:
        failed.append(connection)
        return move(self, _Full())  # type: ignore[arg-type]

    move = checkpoint.Checkpointer._move
    monkeypatch.setattr(checkpoint.Checkpointer, "_move", full)
    async with opened(tmp_path) as store:
        await publish_without_a_break(store)
        assert failed
        assert store.is_healthy


class _Full:
    """A connection to a disk that is full."""

    def execute(self, _: str) -> None:
        raise sqlite3.OperationalError("database or disk is full")
