"""The seam between routes and users' SQL, and what stands behind it: workers, and a home of files.

A database is made by the first statement that writes, and removed with its axon. `homes.py` has
where it is in between.
"""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from ranvier_apiserver import errors
from ranvier_apiserver.axon_sql import wire
from ranvier_apiserver.axon_sql.homes import Home
from ranvier_apiserver.axon_sql.limits import IDLE_SECONDS_MAX
from ranvier_apiserver.axon_sql.pool import Pool
from ranvier_apiserver.axon_sql.wire import Job, Outcome, Reply, Statement
from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import RanvierError
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Axon

AXON_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""Such ids, and no others, become names of files."""

SWEEP_PAUSE_SECONDS: Final = 0.005
"""Between two looks of the sweep at start: it is in no hurry, others are."""

log = logging.getLogger(__name__)


class SqlEngine(Protocol):
    """Answers are JSON texts as the published clients expect them, made where the SQL ran."""

    async def query(
        self, axon_id: str, statement: Statement, may_write: bool, once: bytes | None
    ) -> bytes:
        """One statement; `once` makes a retry of one that wrote get the first answer."""
        ...

    async def batch(
        self, axon_id: str, statements: Sequence[Statement], may_write: bool, once: bytes | None
    ) -> bytes:
        """All statements in one transaction, or none: the answer tells which one failed."""
        ...


class AxonSql:
    """Implements `SqlEngine` on SQLite, wherever the databases are at home."""

    def __init__(
        self, home: Home, find_axon: Callable[[str], Awaitable[Axon]], clock: Clock
    ) -> None:
        self._home = home
        self._find_axon = find_axon
        self._clock = clock
        self._pool = Pool(home.terms)
        self._deleted: asyncio.Queue[str] = asyncio.Queue()

    async def query(
        self, axon_id: str, statement: Statement, may_write: bool, once: bytes | None
    ) -> bytes:
        return await self._run(axon_id, False, [statement], may_write, once)

    async def batch(
        self, axon_id: str, statements: Sequence[Statement], may_write: bool, once: bytes | None
    ) -> bytes:
        return await self._run(axon_id, True, statements, may_write, once)

    def committed(self, committed: Committed) -> None:
        """A listener of the journal: databases go with their axons."""
        for axon_id in committed.deleted_axons:
            self._deleted.put_nowait(axon_id)

    async def run(self) -> None:
        """Removes what deleted axons left, and ends idle workers, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._end_idle())
            await self._sweep()
            while True:
                try:
                    async with asyncio.timeout(self._home.terms.sweep_seconds):
                        deleted = await self._deleted.get()
                except TimeoutError:
                    await self._sweep()
                else:
                    await self._remove(deleted)

    async def close(self) -> None:
        await self._pool.close()
        await self._home.close()

    async def _run(
        self,
        axon_id: str,
        is_batch: bool,
        statements: Sequence[Statement],
        may_write: bool,
        once: bytes | None,
    ) -> bytes:
        async with self._pool.turn(axon_id):
            # Asked within the turn: a deletion waits for it, so no file outlives its axon.
            axon = await self._live(axon_id)
            job = Job(
                axon_id,
                axon.number,
                is_batch,
                statements,
                may_write,
                None if once is None else once.hex(),
                self._clock(),
            )
            async with self._home.visit(axon) as visit:
                reply = await self._pool.ask(wire.job_frame(job), visit.answer)
                visit.ended(reply.outcome)
        if reply.outcome is not Outcome.DONE:
            raise self._error(axon_id, reply)
        return reply.body

    async def _live(self, axon_id: str) -> Axon:
        axon = await self._find_axon(axon_id)
        if axon.deleted_at_ms is not None:
            raise errors.AxonDeleted(axon_id)
        if not AXON_ID.fullmatch(axon_id):
            raise errors.BadInput(f"Axon {axon_id!r} can not have a database: its id is too odd.")
        return axon

    def _error(self, axon_id: str, reply: Reply) -> RanvierError:
        if reply.outcome is Outcome.STOPPED:
            return errors.SqlStopped(
                f"The request took {reply.text} and was stopped; nothing was changed. Read less, "
                "add an index, or send it in parts."
            )
        if reply.outcome is Outcome.FILE_DAMAGED:
            return errors.JournalDamaged(
                f"The SQL database of axon {axon_id!r} is damaged: {reply.text}. Restore "
                f"{self._home.name_of(axon_id)} from a backup."
            )
        if reply.outcome is Outcome.NOT_WRITTEN:
            return errors.JournalFailed(
                f"The SQL database of axon {axon_id!r} can not be read or written now: "
                f"{reply.text}. Nothing was changed."
            )
        if reply.outcome is Outcome.UNSURE:
            return errors.JournalFailed(
                f"Nobody answered whether it was kept ({reply.text}). Send the same request with "
                "the same x-request-id again: it counts once."
            )
        if reply.outcome is Outcome.AXON_DELETED:
            return errors.AxonDeleted(axon_id)
        if reply.outcome is Outcome.BROKEN:
            log.error("a SQL worker failed", extra={"axon_id": axon_id, "reason": reply.text})
            return RanvierError("The SQL worker failed; the log says how.")
        return _ERRORS[reply.outcome](reply.text)

    async def _end_idle(self) -> None:
        while True:
            await asyncio.sleep(IDLE_SECONDS_MAX)
            self._pool.end_idle()

    async def _sweep(self) -> None:
        """A crash between an axon's deletion and its database's leaves that: find such ones."""
        try:
            for axon_id in await self._home.leftovers():
                await self._look_at(axon_id)
                await asyncio.sleep(SWEEP_PAUSE_SECONDS)
        except RanvierError as error:
            log.warning("sweep of SQL databases stopped: %s", error)

    async def _look_at(self, axon_id: str) -> None:
        try:
            if (await self._find_axon(axon_id)).deleted_at_ms is not None:
                await self._remove(axon_id)
        except errors.AxonNotFound:
            log.warning("a SQL database belongs to no axon", extra={"axon_id": axon_id})

    async def _remove(self, axon_id: str) -> None:
        if not AXON_ID.fullmatch(axon_id):
            return
        async with self._pool.quiet(axon_id):
            try:
                await self._home.remove(axon_id)
            except RanvierError as error:
                log.warning("a deleted axon's SQL database is still there: %s", error)


_ERRORS: Final[Mapping[Outcome, Callable[[str], RanvierError]]] = {
    Outcome.SQL_ERROR: errors.SqlRefused,
    Outcome.FORBIDDEN: errors.Forbidden,
    Outcome.BUSY: errors.TooBusy,
    Outcome.JOURNAL_DAMAGED: errors.JournalDamaged,
}
