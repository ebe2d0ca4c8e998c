"""One axon's database file, opened so that a user's SQL can be let loose on it. In a worker.

Not what the SQL says but what SQLite is about to do is judged (`policy.py`), and SQLite's own
limits and switches close what nobody needs: foreign files, extensions, trust in the file's schema.
"""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import apsw

from ranvier_apiserver.axon_sql import limits, policy
from ranvier_apiserver.axon_sql.events_table import EventsTable
from ranvier_apiserver.axon_sql.files import PAGE_BYTES
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.durable import sync

APPLICATION_ID: Final = 0x52564E53
"""Marks the file as ours ("RVNS")."""

CACHE_KIB: Final = 2048
LOG_BYTES_KEPT: Final = 16 * 1024**2
STEPS_PER_TICK: Final = 5_000
"""SQLite's steps between two looks at the clock: well under a millisecond."""

SCHEMA: Final = f"""
CREATE TABLE {policy.ANSWERS_TABLE} (
  number         INTEGER PRIMARY KEY,
  digest         BLOB NOT NULL UNIQUE,
  kept           BLOB NOT NULL,
  total_bytes    INTEGER NOT NULL,
  created_at_ms  INTEGER NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""

_LIMITS: Final = {
    apsw.SQLITE_LIMIT_ATTACHED: 0,
    apsw.SQLITE_LIMIT_COLUMN: limits.COLUMNS_MAX,
    apsw.SQLITE_LIMIT_COMPOUND_SELECT: limits.COMPOUND_SELECTS_MAX,
    apsw.SQLITE_LIMIT_EXPR_DEPTH: limits.EXPRESSION_DEPTH_MAX,
    apsw.SQLITE_LIMIT_FUNCTION_ARG: limits.FUNCTION_ARGUMENTS_MAX,
    apsw.SQLITE_LIMIT_LENGTH: limits.VALUE_BYTES_MAX,
    apsw.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: limits.PATTERN_BYTES_MAX,
    apsw.SQLITE_LIMIT_SQL_LENGTH: limits.SQL_BYTES_MAX,
    apsw.SQLITE_LIMIT_TRIGGER_DEPTH: limits.TRIGGER_DEPTH_MAX,
    apsw.SQLITE_LIMIT_VARIABLE_NUMBER: limits.PARAMETERS_MAX,
    apsw.SQLITE_LIMIT_VDBE_OP: limits.PROGRAM_STEPS_MAX,
    apsw.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_SWITCHES: Final = {
    apsw.SQLITE_DBCONFIG_DEFENSIVE: 1,
    apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_WRITABLE_SCHEMA: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_CREATE: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_ATTACH_WRITE: 0,
    apsw.SQLITE_DBCONFIG_ENABLE_FKEY: 1,
}
_PRAGMAS: Final = (
    "synchronous = FULL",
    f"cache_size = -{CACHE_KIB}",
    f"journal_size_limit = {LOG_BYTES_KEPT}",
    "temp_store = MEMORY",
    "cell_size_check = ON",
    "mmap_size = 0",
)
_PRAGMAS_OF_A_COPY: Final = (
    # Nobody else has the file open, it is thrown away with every crash, and whoever keeps the
    # database reads what changed from the log.
    "locking_mode = EXCLUSIVE",
    "synchronous = OFF",
    "wal_autocheckpoint = 0",
)


class ForeignFile(Exception):
    """The file is a SQLite file, but not one of ours."""


class Database:
    """A connection under the policy. `reason` is why it last said no."""

    def __init__(
        self,
        path: Path | None,
        events: EventsTable,
        chosen: Limits,
        tick: Callable[[], None],
        is_copy: bool = False,
    ) -> None:
        """`path` None opens an empty database in memory, for axons that never wrote any SQL.

        `is_copy`: the database is kept elsewhere, and this file is one replica's copy of it.
        """
        self.is_kept = path is not None
        self.reason: str | None = None
        self.changes_schema = False
        self._tables: set[str] = set()
        self._known = policy.Known(self._tables, frozenset())
        self._is_ours = False
        # Without a cache of statements every text is judged anew, also one that we used ourselves.
        self.connection = apsw.Connection(
            str(path) if path else ":memory:",
            flags=apsw.SQLITE_OPEN_READWRITE,
            statementcachesize=0,
        )
        with self.ours():
            for switch, value in _SWITCHES.items():
                self.connection.config(switch, value)
            pragmas = (*_PRAGMAS, *(_PRAGMAS_OF_A_COPY if is_copy else ()))
            for pragma in (*pragmas, f"max_page_count = {chosen.file_bytes // PAGE_BYTES}"):
                self.connection.execute(f"PRAGMA {pragma}").fetchall()
            if path is not None:
                self._recognise(path)
            modules: list[Any] = self.connection.execute("PRAGMA module_list").fetchall()
            self._known = policy.Known(self._tables, frozenset(name for (name,) in modules))
        for limit, value in _LIMITS.items():
            self.connection.limit(limit, value)
        events.register(self.connection)
        self.connection.authorizer = self._authorize
        self.connection.set_progress_handler(lambda: _is_over(tick), STEPS_PER_TICK)

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Within, statements are the server's own and not judged."""
        self._is_ours = True
        try:
            yield
        finally:
            self._is_ours = False

    def look_again(self) -> None:
        """Before a request's SQL, and where another may have changed the schema meanwhile."""
        with self.ours():
            found: list[Any] = self.connection.execute(
                "SELECT lower(name) FROM sqlite_schema WHERE type IN ('table', 'view')"
            ).fetchall()
        self._tables.clear()
        self._tables.update(name for (name,) in found)

    def forget(self) -> None:
        """A new statement begins: what was learnt of the last one does not count."""
        if self.changes_schema:
            self.look_again()
        self.reason = None
        self.changes_schema = False

    def close(self) -> None:
        self.connection.close(True)

    def _recognise(self, path: Path) -> None:
        (application_id,) = self.connection.execute("PRAGMA application_id").fetchall()[0]
        if application_id != APPLICATION_ID:
            raise ForeignFile(f"{path.name} is a SQLite file of something else.")

    def _authorize(
        self,
        action: int,
        first: str | None,
        second: str | None,
        schema: str | None,
        _: str | None,
    ) -> int:
        if self._is_ours:
            return apsw.SQLITE_OK
        name = apsw.mapping_authorizer_function[action]
        assert isinstance(name, str)
        reason = policy.refusal(name, first, second, schema, self._known)
        if reason is not None:
            self.reason = self.reason or reason
            return apsw.SQLITE_DENY
        self.changes_schema |= name.startswith(("SQLITE_CREATE_", "SQLITE_DROP_", "SQLITE_ALTER_"))
        if name in ("SQLITE_CREATE_TABLE", "SQLITE_CREATE_VIEW") and first:
            # Its own statement may read it already: checks, generated columns, indexes.
            self._tables.add(first.lower())
        return apsw.SQLITE_OK


def create(path: Path) -> None:
    """Makes the file, whole and durable before anyone sees its name; harmless where it is."""
    handle, name = tempfile.mkstemp(prefix="new-", dir=path.parent)
    os.close(handle)
    new = Path(name)
    try:
        connection = apsw.Connection(name)
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute(SCHEMA)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.close()
        sync(new)
        try:
            os.link(new, path)
        except FileExistsError:
            return
        sync(path.parent)
    finally:
        new.unlink()


def _is_over(tick: Callable[[], None]) -> bool:
    try:
        tick()
    except apsw.InterruptError:
        return True
    return False
