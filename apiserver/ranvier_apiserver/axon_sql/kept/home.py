"""Users' databases with PostgreSQL as their home: copies here, threads and connections to there."""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, ParamSpec, TypeVar

from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.axon_sql.homes import Terms
from ranvier_apiserver.axon_sql.kept import pages
from ranvier_apiserver.axon_sql.kept.copies import Copies
from ranvier_apiserver.axon_sql.kept.stay import BEGIN_WRITE, Stay, locking
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Ask, Outcome, Reply
from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.journal.engine import EngineError
from ranvier_apiserver.journal.postgresql.session import PostgresSession
from ranvier_apiserver.state import Axon

SWEEP_SECONDS: Final = 60.0
"""A replica that was away while an axon was deleted finds what is left of it so much later."""

SPARE_SECONDS: Final = 10
"""Beside a request's time, how long a replica that hangs may hold an axon's lock."""

P = ParamSpec("P")
T = TypeVar("T")


class PostgresHome:
    """Implements `Home`."""

    def __init__(self, url: str, chosen: Limits | None = None) -> None:
        self._url = url
        self._limits = chosen or Limits(file_bytes=limits.KEPT_BYTES_MAX)
        self._copies = Copies()
        self.terms = Terms(
            self._copies.folder, None, self._limits, limits.KEPT_AXON_WORKERS_MAX, SWEEP_SECONDS
        )
        # One more than requests run at once, for upkeep.
        self._threads = ThreadPoolExecutor(limits.WORKERS_MAX + 1, thread_name_prefix="axon-sql")
        self._free: queue.SimpleQueue[PostgresSession] = queue.SimpleQueue()

    @asynccontextmanager
    async def visit(self, axon: Axon) -> AsyncIterator["PostgresVisit"]:
        stay = Stay(axon, self._copies, self._session)
        visit = PostgresVisit(self, stay)
        try:
            yield visit
        finally:
            await self.thread(self._leave, stay, visit.is_sound)

    def name_of(self, axon_id: str) -> str:
        return "the journal's database"

    async def leftovers(self) -> Sequence[str]:
        return await self._alone(pages.deleted_axons)

    async def remove(self, axon_id: str) -> None:
        self._copies.drop(axon_id)
        await self._alone(_remove, axon_id)

    async def close(self) -> None:
        self._threads.shutdown()
        while not self._free.empty():
            self._free.get().close()
        self._copies.close()

    async def thread(self, function: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
        """Call it in a thread. Who is cancelled still waits: a connection has one user at a time,
        and each call's time is bounded."""
        loop = asyncio.get_running_loop()
        call = loop.run_in_executor(self._threads, lambda: function(*arguments, **named))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    async def _alone(self, function: Callable[..., T], *arguments: object) -> T:
        try:
            return await self.thread(self._in_transaction, function, *arguments)
        except EngineError as error:
            raise JournalFailed(f"Axons' SQL databases can not be reached now: {error}.") from error

    def _in_transaction(self, function: Callable[..., T], *arguments: object) -> T:
        session = self._session()
        try:
            session.run(BEGIN_WRITE)
            result = function(session, *arguments)
            session.run("COMMIT")
            return result
        finally:
            self._release(session)

    def _session(self) -> PostgresSession:
        """A connection of the caller's own. Raises EngineError."""
        while not self._free.empty():
            session = self._free.get()
            try:
                session.run("SELECT 1")  # the server may have gone away meanwhile
            except EngineError:
                session.close()
            else:
                return session
        session = PostgresSession(self._url)
        idle = int(self._limits.seconds + self._limits.kill_grace_seconds) + SPARE_SECONDS
        session.run(
            f"SET lock_timeout = '{limits.WAIT_SECONDS_MAX:g}s';"
            f" SET idle_in_transaction_session_timeout = '{idle}s'"
        )
        return session

    def _leave(self, stay: Stay, is_sound: bool) -> None:
        if (session := stay.leave(is_sound)) is not None:
            self._release(session)

    def _release(self, session: PostgresSession) -> None:
        try:
            session.run("ROLLBACK")
        except EngineError:
            session.close()
        else:
            self._free.put(session)


class PostgresVisit:
    """Implements `Visit`: passes what the worker asks to a thread."""

    def __init__(self, home: PostgresHome, stay: Stay) -> None:
        self._home = home
        self._stay = stay
        self.is_sound = False

    async def answer(self, ask: Ask, body: bytes) -> Reply:
        return await self._home.thread(self._stay.answer, ask, body)

    def ended(self, outcome: Outcome) -> None:
        """The worker closed the copy in order, unless it died or met a fault."""
        self.is_sound = outcome in SOUND


SOUND: Final = frozenset({Outcome.DONE, Outcome.SQL_ERROR, Outcome.FORBIDDEN, Outcome.BUSY})


def _remove(session: PostgresSession, axon_id: str) -> None:
    found = session.execute("SELECT number FROM axon WHERE axon_id = ?", (axon_id,)).fetchone()
    if found is not None:
        # Behind a request that is being kept elsewhere; a later one finds the axon deleted.
        session.execute(*locking(found[0]))
        pages.remove(session, found[0])
