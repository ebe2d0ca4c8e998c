"""The journal on SQLite: one file for all axons, so that one sync carries events of many.

Measured against a file per axon: 55k events a second against 8-12k. Events come in as multi-row
INSERTs, of so many sizes as can stay prepared. Around each statement the interpreter may hand
control to a busy event loop and get it back half a millisecond later, so a batch takes as few of
them as can be: a statement for each row was measured to cost a factor of ten and more.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal import loading, opening, persist, rows
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.checkpoint import Checkpointer
from ranvier_apiserver.journal.engine import Dialect, LockHeld, Session
from ranvier_apiserver.journal.store import Committed

ROWS_PER_INSERT_MAX: Final = 1024
"""Nine variables a row stay below SQLite's 32,766 variables a statement."""

ROWS_EXACT_MAX: Final = 64
"""Up to so many rows there is a statement for each number of them."""

PASSING: Final = frozenset({"SQLITE_FULL", "SQLITE_BUSY"})
"""After any other failed write nobody knows what the disk holds: a fresh start reads it anew."""

DIALECT: Final = Dialect(
    contains="instr(lower({field}), lower(?)) > 0",
    has_pair=(
        "EXISTS (SELECT 1 FROM json_each(metadata) AS pair"
        " WHERE pair.key = ? AND pair.value IN ({marks}))"
    ),
)


class SqliteEngine:
    """Implements `engine.Engine` on the file in a folder, which it holds for itself alone."""

    def __init__(self, folder: Path) -> None:
        self._opened = opening.open_journal(folder)
        self._connection = self._opened.connection
        self._waits = True
        self._checkpointer = Checkpointer(self._opened.path)
        self._statements: dict[tuple[str, int], str] = {}
        self.base = loading.load_base(self._connection)

    def begin(self, writes: bool, waits: bool) -> Sequence[Committed]:
        """Nobody else writes this file, so what is in memory is what is committed. A tool that
        copies it may hold its lock for a while."""
        if waits is not self._waits:
            self._waits = waits
            self._connection.execute(f"PRAGMA busy_timeout = {opening.BUSY_MS if waits else 0}")
        self._checkpointer.between_commits(self._connection)
        return ()

    def known_answers(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return persist.known_answers(self._connection, digests)

    def commit(self, draft: Draft) -> None:
        try:
            self._write(draft)
        except sqlite3.OperationalError as error:
            if not self._waits and error.sqlite_errorname == "SQLITE_BUSY":
                raise LockHeld(str(error)) from error
            raise
        draft.become_base()
        self._checkpointer.dirty()

    def abort(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            # What failed before says more; an open transaction is dropped with the connection.
            return

    def passes(self, error: Exception) -> bool:
        return getattr(error, "sqlite_errorname", "") in PASSING

    @property
    def is_prompt(self) -> bool:
        return not self._checkpointer.holds_up

    @property
    def is_reachable(self) -> bool:
        return True

    def follow(self, look: Callable[[], None]) -> None:
        """There are no others."""

    def read_connection(self) -> "SqliteReader":
        return SqliteReader(self._opened.path)

    def close(self) -> None:
        self._checkpointer.stop()
        self._opened.close()

    def _write(self, draft: Draft) -> None:
        events = [rows.event_row(*event) for event in draft.events]
        if draft.is_one_insert and _fits_one(len(events)):
            # A statement alone is a transaction of its own, synced when it returns.
            self._insert("event", rows.EVENT_FIELDS, events)
        else:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert("event", rows.EVENT_FIELDS, events)
            persist.write(self._connection, draft, self._insert)
            self._connection.execute("COMMIT")

    def _insert(self, table: str, fields: str, values: Sequence[rows.Row]) -> None:
        for chunk in _chunks(values):
            key = table, len(chunk)
            if key not in self._statements:
                row = f"({', '.join('?' * len(chunk[0]))})"
                many = ", ".join([row] * len(chunk))
                self._statements[key] = f"INSERT INTO {table} ({fields}) VALUES {many}"
            flat = [value for row in chunk for value in row]
            self._connection.execute(self._statements[key], flat)


class SqliteReader:
    """A connection that can not write. Readers never block the writer, nor it them."""

    dialect = DIALECT

    def __init__(self, path: Path) -> None:
        self._connection = opening.read_only(path)

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        try:
            self._connection.execute("BEGIN")
            yield self._connection
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise JournalDamaged(f"The journal is damaged: {error}.") from error
            raise
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def close(self) -> None:
        self._connection.close()


def _chunks(values: Sequence[rows.Row]) -> Iterator[Sequence[rows.Row]]:
    start, left = 0, len(values)
    while left:
        size = _size(left)
        yield values[start : start + size]
        start, left = start + size, left - size


def _fits_one(count: int) -> bool:
    return count == _size(count)


def _size(count: int) -> int:
    """Rows of the next statement: all of up to 64; beyond, four sizes to each doubling. So there
    are 80 sizes, and at most three statements for a batch."""
    shift = max(0, count.bit_length() - 3 if count > ROWS_EXACT_MAX else 0)
    return min(ROWS_PER_INSERT_MAX, count >> shift << shift)
