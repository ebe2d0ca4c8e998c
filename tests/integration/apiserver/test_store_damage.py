"""J7: a damaged journal is reported and refused; it is never truncated or answered from."""

import asyncio
import shutil
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from journal_databases import opened
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.errors import JournalDamaged, JournalFailed
from ranvier_apiserver.journal import opening, wal
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME, PAGE_BYTES
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.journal.store import Page

FRAME = wal.FRAME_HEADER_BYTES + PAGE_BYTES
PAYLOAD = "the very payload"


async def fill(store: EngineStore, count: int) -> str:
    axon_id = (await store.create_axon("a", {})).axon_id
    for number in range(count):
        event = NewEvent(Origin.USER, "test", "t", f"{PAYLOAD} {number}")
        await store.publish(axon_id, event)
    return axon_id


async def killed(folder: Path, copy: Path) -> str:
    """A journal as a killed process leaves it: with a log that nobody replayed yet."""
    async with opened(folder) as store:
        axon_id = await fill(store, 8)
        shutil.copytree(folder, copy)
    return axon_id


def alter(file: Path, change: Callable[[bytearray], None]) -> None:
    data = bytearray(file.read_bytes())
    change(data)
    file.write_bytes(data)


def flip(data: bytearray, at: int) -> None:
    data[at] ^= 0x40


async def test_what_a_killed_process_left_is_all_there(tmp_path: Path) -> None:
    axon_id = await killed(tmp_path / "a", tmp_path / "b")
    verdict = wal.judge((tmp_path / "b" / f"{FILE_NAME}-wal").read_bytes(), PAGE_BYTES)
    assert verdict.frames_good > 8
    assert not verdict.lost_commits
    async with opened(tmp_path / "b") as store:
        assert len((await store.read_after(axon_id, 0, 100)).events) == 8


SALTS, PAGE = 8, 100
"""Places in a frame: what tells this use of the log from those before, and what was written."""


@pytest.mark.parametrize("place", [SALTS, PAGE])
async def test_a_log_damaged_before_acknowledged_commits_is_refused_and_kept(
    tmp_path: Path, place: int
) -> None:
    await killed(tmp_path / "a", tmp_path / "b")
    log = tmp_path / "b" / f"{FILE_NAME}-wal"
    alter(log, lambda data: flip(data, wal.HEADER_BYTES + 3 * FRAME + place))
    before = log.read_bytes()
    for _ in range(2):
        with pytest.raises(JournalDamaged, match="Restore it from a backup"):
            await EngineStore.open(lambda: SqliteEngine(tmp_path / "b"), lambda: 1)
        assert log.read_bytes() == before


@pytest.mark.parametrize("place", [17, wal.HEADER_BYTES + PAGE])
async def test_a_journal_of_an_earlier_version_keeps_its_pages_and_is_judged_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: int
) -> None:
    """Damage to the log's header is there too, where the log does not say its pages' size."""
    with monkeypatch.context() as patch:
        patch.setattr(opening, "PAGE_BYTES", 2 * PAGE_BYTES)
        axon_id = await killed(tmp_path / "a", tmp_path / "b")
    async with opened(tmp_path / "a") as store:
        assert len((await store.read_after(axon_id, 0, 100)).events) == 8
    with closing(sqlite3.connect(tmp_path / "a" / FILE_NAME)) as connection:
        assert connection.execute("PRAGMA page_size").fetchone() == (2 * PAGE_BYTES,)
    alter(tmp_path / "b" / f"{FILE_NAME}-wal", lambda data: flip(data, place))
    with pytest.raises(JournalDamaged):
        await EngineStore.open(lambda: SqliteEngine(tmp_path / "b"), lambda: 1)


async def test_a_logs_damaged_header_is_refused(tmp_path: Path) -> None:
    await killed(tmp_path / "a", tmp_path / "b")
    alter(tmp_path / "b" / f"{FILE_NAME}-wal", lambda data: flip(data, 17))
    with pytest.raises(JournalDamaged):
        await EngineStore.open(lambda: SqliteEngine(tmp_path / "b"), lambda: 1)


async def test_a_commit_that_a_power_cut_tore_is_forgotten(tmp_path: Path) -> None:
    """It was never acknowledged, so nobody misses it; what lies before it stays."""
    axon_id = await killed(tmp_path / "a", tmp_path / "b")
    log = tmp_path / "b" / f"{FILE_NAME}-wal"
    frames = (len(log.read_bytes()) - wal.HEADER_BYTES) // FRAME
    last = wal.HEADER_BYTES + (frames - 1) * FRAME
    (commits,) = struct.unpack_from(">I", log.read_bytes(), last + 4)
    assert commits
    alter(log, lambda data: flip(data, last + 100))
    async with opened(tmp_path / "b") as store:
        assert len((await store.read_after(axon_id, 0, 100)).events) == 7


async def test_what_an_earlier_use_of_the_log_left_behind_is_no_damage(tmp_path: Path) -> None:
    async with opened(tmp_path / "a") as store:
        await fill(store, 20)
        checkpoints = sqlite3.connect(tmp_path / "a" / FILE_NAME)
        checkpoints.execute("PRAGMA wal_checkpoint(RESTART)")
        checkpoints.close()
        axon_id = await fill(store, 3)
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    log = (tmp_path / "b" / f"{FILE_NAME}-wal").read_bytes()
    verdict = wal.judge(log, PAGE_BYTES)
    assert 0 < verdict.frames_good < len(log) // FRAME
    assert not verdict.lost_commits
    async with opened(tmp_path / "b") as store:
        assert len((await store.read_after(axon_id, 0, 100)).events) == 3


async def test_a_torn_last_frame_is_no_damage(tmp_path: Path) -> None:
    axon_id = await killed(tmp_path / "a", tmp_path / "b")
    alter(tmp_path / "b" / f"{FILE_NAME}-wal", lambda data: data.__delitem__(slice(-100, None)))
    async with opened(tmp_path / "b") as store:
        assert len((await store.read_after(axon_id, 0, 100)).events) == 7


async def test_a_flipped_bit_in_a_payload_refuses_that_axon_alone(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        first, second = await fill(store, 3), await fill(store, 3)
    file = tmp_path / FILE_NAME

    def change(data: bytearray) -> None:
        at = data.index(f"{PAYLOAD} 1".encode())
        flip(data, at)

    alter(file, change)
    async with opened(tmp_path) as store:
        reads = [store.read_after(axon_id, 0, 100) for axon_id in (first, second)]
        results = await asyncio.gather(*reads, return_exceptions=True)
        (damage,) = [result for result in results if isinstance(result, JournalDamaged)]
        assert "was changed on disk" in str(damage)
        (page,) = [result for result in results if isinstance(result, Page)]
        assert len(page.events) == 3


async def test_an_axon_with_a_damaged_end_takes_no_more_events(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        axon_id = await fill(store, 3)
    alter(tmp_path / FILE_NAME, lambda data: flip(data, data.index(f"{PAYLOAD} 2".encode())))
    async with opened(tmp_path) as store:
        with pytest.raises(JournalDamaged):
            await store.publish(axon_id, NewEvent(Origin.USER, "s", "t", ""))
        await fill(store, 1)


async def test_events_that_vanished_are_noticed(tmp_path: Path) -> None:
    for missing in (2, 3):
        folder = tmp_path / str(missing)
        async with opened(folder) as store:
            axon_id = await fill(store, 4)
        with sqlite3.connect(folder / FILE_NAME) as connection:
            connection.execute("DELETE FROM event WHERE sequence = ?", (missing,))
        connection.close()
        async with opened(folder) as store:
            with pytest.raises(JournalDamaged, match="missing on disk"):
                await store.read_after(axon_id, 0, 100)


async def test_a_broken_page_is_found_at_the_start_and_left_as_it_is(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await fill(store, 100)
    file = tmp_path / FILE_NAME
    size = file.stat().st_size

    def change(data: bytearray) -> None:
        for page in range(2, size // PAGE_BYTES):
            data[page * PAGE_BYTES : page * PAGE_BYTES + 8] = b"\xff" * 8

    alter(file, change)
    before = file.read_bytes()
    with pytest.raises(JournalDamaged, match="is damaged"):
        await EngineStore.open(lambda: SqliteEngine(tmp_path), lambda: 1)
    assert file.read_bytes() == before


async def test_what_is_no_journal_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"not a database at all" * 1000)
    with pytest.raises(JournalDamaged):
        await EngineStore.open(lambda: SqliteEngine(tmp_path), lambda: 1)
    (tmp_path / FILE_NAME).unlink()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()
    with pytest.raises(JournalFailed, match="something else"):
        await EngineStore.open(lambda: SqliteEngine(tmp_path), lambda: 1)


async def test_a_file_moved_away_as_told_leaves_an_empty_journal(tmp_path: Path) -> None:
    """Whether or not its log was moved too."""
    await killed(tmp_path / "a", tmp_path / "b")
    (tmp_path / "b" / FILE_NAME).unlink()
    async with opened(tmp_path / "b") as store:
        await fill(store, 1)


async def test_a_file_that_is_locked_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_MS", 1)
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalFailed, match="could not be opened") as refused:
            opening.open_journal(tmp_path)
    assert not isinstance(refused.value, JournalDamaged)


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    async with opened(tmp_path):
        pass
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(JournalFailed, match="newer Ranvier"):
        await EngineStore.open(lambda: SqliteEngine(tmp_path), lambda: 1)


async def test_one_process_holds_a_journal(tmp_path: Path) -> None:
    async with opened(tmp_path):
        with pytest.raises(JournalFailed, match="Another process"):
            opening.open_journal(tmp_path)
    async with opened(tmp_path):
        pass


async def test_after_a_disk_error_nothing_is_taken_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sync that failed may have lost what it was to keep: only a fresh start knows."""
    async with opened(tmp_path) as store:
        axon_id = await fill(store, 1)
        event = NewEvent(Origin.USER, "test", "t", "")

        def broken(engine: SqliteEngine, draft: Draft) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(SqliteEngine, "commit", broken)
            with pytest.raises(JournalFailed):
                await store.publish(axon_id, event)
        assert not store.is_healthy
        with pytest.raises(JournalFailed, match="must be restarted"):
            await store.publish(axon_id, event)
