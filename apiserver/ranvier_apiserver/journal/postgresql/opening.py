"""Makes a database ready for the journal, or says clearly why not."""

import logging
import time
from typing import Any, Final

from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.journal import migrations
from ranvier_apiserver.journal.engine import EngineError
from ranvier_apiserver.journal.postgresql.session import SCHEMA, PostgresSession

LOCK_KEY: Final = 0x52564E52
"""The journal's lock among the server's advisory locks ("RVNR"), in each database its own."""

START_SECONDS: Final = 60.0
"""How long a start waits for the server; pods of one rollout come up in any order."""

RETRY_SECONDS: Final = 1.0

VERSION_MIN: Final = 130000
"""PostgreSQL 13, the oldest that is tended."""

log = logging.getLogger(__name__)


def open_database(url: str, wait_seconds: float = START_SECONDS) -> PostgresSession:
    """A session on a database whose schema is up to date. Raises JournalFailed."""
    session = _connect(url, wait_seconds)
    try:
        _check(session)
        _migrate(session)
    except EngineError as error:
        session.close()
        raise JournalFailed(f"The journal's database could not be made ready: {error}.") from error
    except BaseException:
        session.close()
        raise
    return session


def _connect(url: str, wait_seconds: float) -> PostgresSession:
    deadline = time.monotonic() + wait_seconds  # noqa: TID251 - a shell that waits
    while True:
        try:
            return PostgresSession(url)
        except EngineError as error:
            if time.monotonic() > deadline:  # noqa: TID251
                raise JournalFailed(
                    f"The journal's database can not be reached: {error}. Check the URL given with "
                    "--journal, and that the server takes connections from here."
                ) from error
            log.warning("the journal's database can not be reached yet: %s", error)
            time.sleep(RETRY_SECONDS)


def _check(session: PostgresSession) -> None:
    version = session.connection.info.server_version
    if version < VERSION_MIN:
        raise JournalFailed(
            f"The journal's database is PostgreSQL {version // 10000}; "
            f"{VERSION_MIN // 10000} or newer is needed."
        )
    if _setting(session, "fsync") != "on":
        raise JournalFailed(
            "The journal's database runs with fsync = off, so what it acknowledges may be lost. "
            "Set fsync = on in the server's configuration."
        )
    if _setting(session, "server_encoding") != "UTF8":
        raise JournalFailed("The journal's database must have the encoding UTF8; make a new one.")
    if _setting(session, "transaction_read_only") != "off":
        raise JournalFailed(
            "The journal's database takes no writes: it is a standby, or set to read only. "
            "Name the primary in the URL given with --journal."
        )


def _setting(session: PostgresSession, name: str) -> Any:
    return session.execute("SELECT current_setting(?)", (name,)).fetchone()[0]


def _migrate(session: PostgresSession) -> None:
    """Bring the schema up to date; replicas that start at once take turns."""
    session.run(f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_KEY})")
    # A script may write every event anew; that takes as long as it takes.
    session.run("SET LOCAL statement_timeout = 0")
    session.run(
        f"CREATE SCHEMA IF NOT EXISTS {SCHEMA};"
        " CREATE TABLE IF NOT EXISTS migration"
        " (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    applied = {name for (name,) in session.execute("SELECT name FROM migration")}
    known = migrations.scripts("postgresql")
    unknown = applied - {script.name for script in known}
    if unknown:
        raise JournalFailed(
            f"The journal's database has the migration {max(unknown)}, this program knows up to "
            f"{known[-1].name}. A newer Ranvier wrote it; start that one."
        )
    for script in known:
        if script.name not in applied:
            session.run(script.text)
            session.execute("INSERT INTO migration (name) VALUES (?)", (script.name,))
    session.run("COMMIT")
