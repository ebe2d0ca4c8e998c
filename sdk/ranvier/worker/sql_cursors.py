"""Cursors in the axons' own SQL databases: for workers that have no disk to keep them on.

A cursor is a row that names its holder. Whoever opens it becomes the holder; the one before learns
of it at its next save and stops. So a worker may move between machines, and of two that run under
one name only the later one goes on.
"""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from ranvier.client.blocking import Ranvier
from ranvier.client.errors import ConnectionFailed, RateLimited, ServerFailed
from ranvier.client.retries import backoff
from ranvier.worker.cursors import Cursor, CursorError, position_of, text_of
from ranvier.worker.progress import Position

TRIES: Final = 10
"""How often a statement is tried while the server is away: about half a minute in all."""

TABLE: Final = "ranvier_workers"

_CREATE: Final = f"""CREATE TABLE IF NOT EXISTS {TABLE}
(worker TEXT PRIMARY KEY, holder TEXT NOT NULL, position TEXT)"""
_HOLD: Final = f"""INSERT INTO {TABLE} (worker, holder) VALUES (?, ?)
ON CONFLICT (worker) DO UPDATE SET holder = excluded.holder"""
_LOAD: Final = f"SELECT position FROM {TABLE} WHERE worker = ?"
_SAVE: Final = f"UPDATE {TABLE} SET position = ? WHERE worker = ? AND holder = ?"

Result = TypeVar("Result")


class SqlCursors:
    """Cursors in a table of each axon. Needs a key that may write to the axons."""

    def __init__(self, client: Ranvier) -> None:
        self._client = client

    @contextmanager
    def open(self, worker: str, axon_id: str) -> Iterator[Cursor]:
        cursor = _SqlCursor(self._client, worker, axon_id, str(uuid.uuid4()))
        cursor.hold()
        yield cursor


class _SqlCursor:
    def __init__(self, client: Ranvier, worker: str, axon_id: str, holder: str) -> None:
        self._sql = client.axons.sql
        self._worker = worker
        self._axon_id = axon_id
        self._holder = holder

    def hold(self) -> None:
        """Become the holder."""
        _tried(lambda: self._sql.query(self._axon_id, _CREATE))
        _tried(lambda: self._sql.query(self._axon_id, _HOLD, [self._worker, self._holder]))

    def load(self) -> Position:
        result = _tried(lambda: self._sql.query(self._axon_id, _LOAD, [self._worker]))
        stored = result.rows[0][0] if result.rows else None
        if stored is None:
            return Position()
        return position_of(stored, f"{self._worker} in {TABLE} of axon {self._axon_id}")

    def save(self, position: Position) -> None:
        values = [text_of(position), self._worker, self._holder]
        result = _tried(lambda: self._sql.query(self._axon_id, _SAVE, values))
        if result.meta.changes == 0:
            what = f"Another process took over worker {self._worker} on axon {self._axon_id}."
            raise CursorError(what, "Run one process under a name; this one has stopped.")


def _tried(call: Callable[[], Result]) -> Result:
    """Each statement may be made twice: the client does not repeat it, so this does."""
    for attempt in range(TRIES):
        try:
            return call()
        except (ConnectionFailed, RateLimited, ServerFailed):
            if attempt + 1 == TRIES:
                raise
        time.sleep(backoff(attempt, random.random()))
    raise AssertionError("unreachable")
