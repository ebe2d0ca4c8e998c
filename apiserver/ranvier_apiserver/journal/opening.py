"""Opens the journal file, or says clearly why not. A damaged or foreign file is never touched.

Order matters: take the lock (one process, one writer), judge the log before SQLite replays it,
check the file before anything is written, then bring the schema up to date.
"""

import fcntl
import mmap
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from ranvier_apiserver.durable import sync
from ranvier_apiserver.errors import JournalDamaged, JournalFailed
from ranvier_apiserver.journal import migrations, wal

FILE_NAME: Final = "journal.sqlite3"
PAGE_BYTES: Final = 4096
"""Of a new journal; one that is there keeps its own. A publish to an axon of its own dirties a page
in an index, so many axons cost half of what they do with twice as much."""

PAGE_SIZES: Final = frozenset({4096, 8192})
"""What journals have: the versions before took the larger."""

APPLICATION_ID: Final = 0x52564E52
"""Marks the file as ours ("RVNR"), so that no other SQLite file is taken for a journal."""

CHECK_BYTES_MAX: Final = 1024**3
"""Files up to this size are checked whole at start (about a second); larger ones on reading."""

BUSY_MS: Final = 5000
"""The only other lock holder is our own checkpoint, which takes milliseconds."""

CHECKPOINT_BUSY_MS: Final = 250
"""So long a forced checkpoint may wait for readers; publishes wait with it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The writer's connection, and the lock that must live as long."""

    path: Path
    connection: sqlite3.Connection
    lock: IO[bytes]

    def close(self) -> None:
        self.connection.close()
        self.lock.close()


def open_journal(folder: Path) -> Opened:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    lock = _lock(folder)
    try:
        _judge_log(path)
        connection = _connect(path)
        try:
            _check(path, connection)
            _migrate(path, connection)
        except BaseException:
            connection.close()
            raise
    except sqlite3.DatabaseError as error:
        lock.close()
        if getattr(error, "sqlite_errorname", "") in ("SQLITE_FULL", "SQLITE_BUSY"):
            raise JournalFailed(
                f"{path} could not be opened: {error}. Nothing was changed; make room, or end what "
                "else uses the file, and start again."
            ) from error
        raise _damaged(path, str(error)) from error
    except BaseException:
        lock.close()
        raise
    sync(folder)
    return Opened(path, connection, lock)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that can not write, for whichever thread takes it."""
    uri = f"{path.resolve().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return connection


def checkpoint_connection(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute(f"PRAGMA busy_timeout = {CHECKPOINT_BUSY_MS}")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    # A checkpoint must reach the disk before the log is begun anew.
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def _lock(folder: Path) -> IO[bytes]:
    lock = open(folder / "lock", "ab")  # noqa: SIM115 - lives as long as the journal is open
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise JournalFailed(
            f"Another process has the journal in {folder} open. One API server per journal."
        ) from None
    return lock


def _judge_log(path: Path) -> None:
    log = path.with_name(path.name + "-wal")
    if not log.exists() or not log.stat().st_size:
        return
    # Mapped, not read: what a migration that was killed left behind is as long as the journal.
    with log.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if wal.judge(content, _page_bytes(path)).lost_commits:
            raise _damaged(log, "acknowledged events would be lost in a replay of this log")


def _page_bytes(path: Path) -> int:
    """The size of a page as the file's header has it (https://sqlite.org/fileformat2.html)."""
    if not path.exists():
        return PAGE_BYTES
    with path.open("rb") as file:
        said = int.from_bytes(file.read(18)[16:], "big")
    return said if said in PAGE_SIZES else PAGE_BYTES


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return connection


def _check(path: Path, connection: sqlite3.Connection) -> None:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application_id != APPLICATION_ID and tables:
        raise JournalFailed(f"{path} is a SQLite file of something else; choose another --data.")
    if path.stat().st_size <= CHECK_BYTES_MAX:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise _damaged(path, str(verdict))


def _migrate(path: Path, connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    known = migrations.scripts("sqlite")
    if version > len(known):
        raise JournalFailed(
            f"{path} has schema version {version:04}, this program knows up to {known[-1].name}. "
            "A newer Ranvier wrote it; start that one."
        )
    for script in known[version:]:
        connection.executescript(
            f"BEGIN IMMEDIATE; {script.text}\nPRAGMA user_version = {script.number};"
            f" PRAGMA application_id = {APPLICATION_ID}; COMMIT;"
        )
    if known[version:]:
        # It may have written everything, and the next start would judge all of that.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _damaged(path: Path, detail: str) -> JournalDamaged:
    return JournalDamaged(
        f"{path} is damaged: {detail}. Nothing was changed. Restore it from a backup, or move the "
        "file away to begin an empty journal."
    )
