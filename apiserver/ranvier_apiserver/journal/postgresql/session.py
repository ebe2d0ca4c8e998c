"""A connection to PostgreSQL as the journal uses one: `?` for values, COPY for many rows.

The session's own settings stand here, because promises hang on them: a commit that returned is on
disk whatever the server's default says, and a replica that hangs does not hold the others up.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import RawCursor, sql

from ranvier_apiserver.journal.engine import EngineError, Rows
from ranvier_apiserver.journal.postgresql import copying

CONNECT_SECONDS: Final = 5
"""How long one attempt to reach the server may take; callers wait for it."""

LOCK_SECONDS: Final = 5
"""How long to wait for another replica's transaction; they take milliseconds."""

STATEMENT_SECONDS: Final = 30
IDLE_SECONDS: Final = 3
"""A replica that stops in mid-transaction (paused, cut off) loses it after this, and its lock.
Less than others wait for it."""

SCHEMA: Final = "ranvier"
"""All tables are in a schema of their own, so the database may hold other things too."""

BEGIN_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

_SETTINGS: Final = (
    f"SET search_path = {SCHEMA}",
    f"SET lock_timeout = '{LOCK_SECONDS}s'",
    f"SET statement_timeout = '{STATEMENT_SECONDS}s'",
    f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'",
    "SET client_encoding = 'UTF8'",
    # Where the server waits for its standbys to have applied, that is more than `on`: keep it.
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') <> 'remote_apply'",
)


class BadValue(EngineError):
    """PostgreSQL knows no such text or number, like one with the character NUL."""


class LockTaken(EngineError):
    """Another transaction held a lock for as long as this one may wait."""


class PostgresSession:
    """One connection. Whatever goes wrong is an EngineError; then see `is_open`."""

    def __init__(self, url: str) -> None:
        with _wrapped():
            self.connection = psycopg.connect(
                url,
                autocommit=True,
                cursor_factory=RawCursor,
                connect_timeout=CONNECT_SECONDS,
                application_name="ranvier-apiserver",
                # A server that vanished without a word is noticed, not waited for.
                keepalives_idle=5,
                keepalives_interval=2,
                keepalives_count=3,
                tcp_user_timeout=STATEMENT_SECONDS * 1000,
            )
            self._cursor = self.connection.cursor()
            self.run("; ".join(_SETTINGS))

    @property
    def is_open(self) -> bool:
        return not self.connection.closed

    @property
    def server_process(self) -> int:
        """The server's number for this connection."""
        return self.connection.info.backend_pid

    def execute(self, statement: str, values: Sequence[Any] = (), /) -> Rows:
        with _wrapped():
            return self.connection.execute(_numbered(statement), values)

    def run(self, statements: str) -> list[Any]:
        """Several statements without values in one round trip; the rows of the last."""
        with _wrapped():
            cursor = self._cursor.execute(statements.encode(), prepare=False)
            while cursor.nextset():
                pass
            return cursor.fetchall() if cursor.description else []

    def insert(self, table: str, fields: str, values: Iterable[Sequence[Any]]) -> None:
        """Bring many rows in at once. Measured at half the time of an INSERT of all of them."""
        with _wrapped(), self._cursor.copy(f"COPY {table} ({fields}) FROM STDIN".encode()) as copy:
            for row in values:
                copy.write_row(row)

    def insert_and_commit(
        self, table: str, fields: str, values: Iterable[Sequence[Any]], statements: str
    ) -> None:
        """As `insert`, then run the statements and COMMIT, all in two round trips."""
        copy = f"COPY {table} ({fields}) FROM STDIN".encode()
        behind = f"{statements}; COMMIT".encode()
        with _wrapped():
            copying.copy_then(self.connection.pgconn, copy, copying.lines(values), behind)

    def literal(self, text: str) -> str:
        """The text as a constant of SQL's, for statements that are run without values."""
        return sql.Literal(text).as_string(self.connection)

    def notifications(self) -> list[int]:
        """Who sent the notifications that arrived, by the server's number of their connection."""
        with _wrapped():
            return [notify.pid for notify in self.connection.notifies(timeout=0)]

    def close(self) -> None:
        self.connection.close()


@contextmanager
def _wrapped() -> Iterator[None]:
    try:
        yield
    except psycopg.DataError as error:
        raise BadValue(str(error)) from error
    except psycopg.errors.LockNotAvailable as error:
        raise LockTaken(str(error).strip()) from error
    except psycopg.Error as error:
        raise EngineError(str(error).strip().replace("\n", " ")) from error


@lru_cache(maxsize=1024)
def _numbered(statement: str) -> bytes:
    """`?` to PostgreSQL's `$1`, `$2` …; no statement of ours has a question mark of its own."""
    first, *rest = statement.split("?")
    return "".join([first, *(f"${n}{part}" for n, part in enumerate(rest, start=1))]).encode()
