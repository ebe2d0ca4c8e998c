"""The writer's side of PostgreSQL: every batch is one transaction under the journal's lock.

A transaction takes the lock, reads what other replicas committed, works in memory, writes, says so
to the others (NOTIFY, once), and commits; the server gives the lock back with it. So commits have
one order everywhere, sequences have no gaps, and no replica leads. When the connection breaks
nothing is lost in memory that matters: the next transaction on a new connection reads on from the
last mark, and what a broken commit left behind is news like any other.
"""

import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from ranvier_apiserver.errors import InvalidField, JournalDamaged, JournalFailed
from ranvier_apiserver.journal import loading, persist, rows
from ranvier_apiserver.journal.base import Base, Draft
from ranvier_apiserver.journal.engine import Dialect, EngineError, Session
from ranvier_apiserver.journal.postgresql import catch_up
from ranvier_apiserver.journal.postgresql.follower import CHANNEL, Follower
from ranvier_apiserver.journal.postgresql.opening import LOCK_KEY, START_SECONDS, open_database
from ranvier_apiserver.journal.postgresql.session import BEGIN_READ, BadValue, PostgresSession
from ranvier_apiserver.journal.store import Committed

BEGIN_WRITE: Final = f"BEGIN; SELECT pg_advisory_xact_lock({LOCK_KEY})"

COMMITS_KEPT: Final = 20_000
"""Rows of `journal_commit`: minutes of a busy journal. Who was away for longer reads all anew."""

PRUNE_EVERY: Final = 1000

DIALECT: Final = Dialect(
    contains="strpos(lower({field}), lower(?)) > 0",
    has_pair="coalesce(metadata::json ->> ? IN ({marks}), FALSE)",
)

log = logging.getLogger(__name__)


class HistoryChanged(Exception):
    """The database does not hold the history that this process knows."""


class PostgresEngine:
    """Implements `engine.Engine` on the database that a URL names."""

    def __init__(self, url: str, wait_seconds: float = START_SECONDS) -> None:
        self._url = url
        self._session = open_database(url, wait_seconds)
        self._follower: Follower | None = None
        self._away: str | None = None
        self._session.run(BEGIN_READ)
        self._mark, self.base = _state(self._session)
        self._session.run("COMMIT")

    def begin(self, writes: bool, waits: bool) -> Sequence[Committed]:
        """It always waits for the other replicas' lock: `is_prompt` is never true here."""
        try:
            if not self._session.is_open:
                self._reconnect()
            news = self._begin(BEGIN_WRITE if writes else BEGIN_READ)
        except EngineError as error:
            self._note_away(str(error))
            raise
        self._note_away(None)
        return news

    def known_answers(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return persist.known_answers(self._session, digests)

    def commit(self, draft: Draft) -> None:
        mark, session = self._mark, self._session
        position = mark.position + len(draft.events)
        after = catch_up.Mark(mark.version + 1, secrets.randbits(62), position)
        if after.version % PRUNE_EVERY == 0:
            oldest = after.version - COMMITS_KEPT
            session.execute("DELETE FROM journal_commit WHERE version < ?", (oldest,))
        persist.write(session, draft, session.insert)
        touched = session.literal(catch_up.touched(draft))
        said = (
            f"INSERT INTO journal_commit ({catch_up.FIELDS})"
            f" VALUES ({after.version}, {after.stamp}, {position}, {touched});"
            f" NOTIFY {CHANNEL}, '{after.version}'"
        )
        numbered = [
            (number, *rows.event_row(*event))
            for number, event in enumerate(draft.events, start=mark.position + 1)
        ]
        fields = f"position, {rows.EVENT_FIELDS}"
        if numbered:
            session.insert_and_commit("event", fields, numbered, said)
        else:
            session.run(f"{said}; COMMIT")
        self._mark = after
        draft.become_base()

    def abort(self) -> None:
        try:
            if self._session.is_open:
                self._session.run("ROLLBACK")
        except EngineError:
            # What failed before says more; the server rolls back what has no connection.
            self._session.close()

    def passes(self, error: Exception) -> bool:
        """The server rolls back whatever it did not commit, so all but a wrong history passes."""
        return not isinstance(error, HistoryChanged)

    @property
    def is_prompt(self) -> bool:
        return False

    @property
    def is_reachable(self) -> bool:
        return self._away is None

    def follow(self, look: Callable[[], None]) -> None:
        self._follower = Follower(self._url, lambda: self._session.server_process, look)

    def read_connection(self) -> "PostgresReader":
        return PostgresReader(self._url)

    def close(self) -> None:
        if self._follower is not None:
            self._follower.stop()
        self._session.close()

    # --- the beginning of a transaction

    def _begin(self, begin: str) -> Sequence[Committed]:
        mark = self._mark
        commits = self._session.run(
            f"{begin}; SELECT {catch_up.FIELDS} FROM journal_commit"
            f" WHERE version >= {mark.version} ORDER BY version LIMIT {catch_up.COMMITS_MAX + 2}"
        )
        if commits and commits[0][:3] == (mark.version, mark.stamp, mark.position):
            commits = commits[1:]
        else:
            self._expect_own_history()
            return self._read_anew()
        if not commits:
            return ()
        is_far = commits[-1][2] - mark.position > catch_up.EVENTS_MAX
        if is_far or len(commits) > catch_up.COMMITS_MAX:
            return self._read_anew()
        try:
            news = catch_up.read(self._session, mark, commits)
        except JournalDamaged as error:
            # That axon is refused where it is read; the others go on.
            log.error("%s", error)
            return self._read_anew()
        told = catch_up.apply(self.base, news)
        self._mark = news.mark
        return (told,)

    def _read_anew(self) -> Sequence[Committed]:
        """All state from the tables. Streams are told that they missed something."""
        self._mark, self.base = _state(self._session)
        return (Committed((), forget=True),)

    def _expect_own_history(self) -> None:
        """What this process saw was pruned, which is no harm, or it never happened there."""
        (oldest,) = self._session.execute("SELECT min(version) FROM journal_commit").fetchone()
        if oldest is None or oldest <= self._mark.version:
            raise HistoryChanged(
                f"the database lacks commit {self._mark.version} that this process saw; it was "
                "restored from a backup, or a failover lost what it had acknowledged"
            )

    # --- the connection

    def _reconnect(self) -> None:
        self._session = PostgresSession(self._url)
        self.base.loader = loading.SessionLoader(self._session)

    def _note_away(self, reason: str | None) -> None:
        if reason is not None and self._away is None:
            log.error("the journal's database is away: %s", reason)
        elif reason is None and self._away is not None:
            log.info("the journal's database is back")
        self._away = reason


class PostgresReader:
    """A connection for pages; makes itself anew when it broke."""

    dialect = DIALECT

    def __init__(self, url: str) -> None:
        self._url = url
        self._session: PostgresSession | None = None

    @contextmanager
    def snapshot(self) -> Iterator[Session]:
        try:
            if self._session is None or not self._session.is_open:
                self._session = PostgresSession(self._url)
            session = self._session
            session.run(BEGIN_READ)
            try:
                yield session
            finally:
                if session.is_open:
                    session.run("ROLLBACK")
        except BadValue as error:
            raise InvalidField(f"The journal can not hold such a value: {error}.") from error
        except EngineError as error:
            raise JournalFailed(f"The journal can not be read now: {error}.") from error

    def close(self) -> None:
        if self._session is not None:
            self._session.close()


def _state(session: PostgresSession) -> tuple[catch_up.Mark, Base]:
    return catch_up.newest_mark(session), loading.load_base(session)
