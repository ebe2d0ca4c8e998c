"""A SQL worker in this process, over a journal with axons of known events, on either engine."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from journal_databases import Database, PostgresDatabase, new_database
from ranvier.events import NewEvent
from ranvier_apiserver.axon_sql import pipe
from ranvier_apiserver.axon_sql.kept.copies import Copies
from ranvier_apiserver.axon_sql.kept.home import SOUND
from ranvier_apiserver.axon_sql.kept.stay import Stay
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.pipe import Desk, OwnDesk, SharedDesk
from ranvier_apiserver.axon_sql.wire import Ask, Job, Outcome, Reply, Statement
from ranvier_apiserver.axon_sql.worker import Worker
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.postgresql.session import PostgresSession
from ranvier_apiserver.state import Axon

Sql = str | tuple[str, ...]
"""A query, or the statements of a batch."""


class Replica:
    """The server's side of a worker whose databases PostgreSQL keeps, without the pipe between."""

    def __init__(self, url: str) -> None:
        self.copies = Copies()
        self.session = PostgresSession(url)
        self.desk = SharedDesk(self._ask)
        self._stay: Stay | None = None

    def answer(self, worker: Worker, axon: Axon, job: Job) -> Reply:
        self._stay = Stay(axon, self.copies, lambda: self.session)
        reply = worker.answer(job)
        self._stay.leave(reply.outcome in SOUND)
        self.session.run("ROLLBACK")
        return reply

    def _ask(self, ask: Ask, body: bytes) -> bytes:
        assert self._stay is not None
        return pipe.told(self._stay.answer(ask, body))

    def close(self) -> None:
        self.session.close()
        self.copies.close()


class SqlDesk:
    """`events` are published first, and the journal is closed: this process may not open it with
    two SQLite libraries at once. `of` is another desk on the same journal, as on a replica."""

    def __init__(
        self,
        folder: Path,
        events: Mapping[str, Sequence[NewEvent]],
        limits: Limits | None = None,
        engine: str = "sqlite",
        of: "SqlDesk | None" = None,
    ) -> None:
        self.folder = folder
        self.database = new_database(engine, folder) if of is None else of.database
        self.axons = asyncio.run(_published(self.database, events)) if of is None else of.axons
        self.limits = limits or Limits(seconds=5)
        self.now_ms = 1_000
        self.replica: Replica | None = None
        if isinstance(self.database, PostgresDatabase):
            self.replica = Replica(self.database.url)
            self.files = self.replica.copies.folder
        else:
            self.files = folder / "sql"
            self.files.mkdir()
        self.new_worker()

    def new_worker(self) -> None:
        """As after a crash: nothing is open, nothing is remembered."""
        desk: Desk = self.replica.desk if self.replica else OwnDesk(self.folder / FILE_NAME)
        self.worker = Worker(self.files, desk, self.limits, time.perf_counter)

    def run(
        self,
        name: str,
        sql: Sql,
        *params: Any,
        may_write: bool = True,
        once: str | None = None,
    ) -> Reply:
        axon = self.axons[name]
        texts = [sql] if isinstance(sql, str) else sql
        statements = [Statement(text, params) for text in texts]
        is_batch = not isinstance(sql, str)
        job = Job(axon.axon_id, axon.number, is_batch, statements, may_write, once, self.now_ms)
        if self.replica is not None:
            return self.replica.answer(self.worker, axon, job)
        return self.worker.answer(job)

    def answer(self, name: str, sql: Sql, *params: Any, once: str | None = None) -> Any:
        """The parsed answer of a request that must be answered."""
        reply = self.run(name, sql, *params, once=once)
        assert reply.outcome is Outcome.DONE, (reply.outcome, reply.text)
        return json.loads(reply.body)

    def rows(self, name: str, sql: str, *params: Any) -> list[list[Any]]:
        rows: list[list[Any]] = self.answer(name, sql, *params)["rows"]
        return rows

    def refused(self, name: str, sql: Sql, *params: Any) -> str:
        reply = self.run(name, sql, *params)
        assert reply.outcome is Outcome.SQL_ERROR, (reply.outcome, reply.text)
        return reply.text

    def close(self) -> None:
        if self.replica is not None:
            self.replica.close()


async def _published(
    database: Database, events: Mapping[str, Sequence[NewEvent]]
) -> dict[str, Axon]:
    store = await EngineStore.open(database.engine, lambda: 1_000)
    axons = {name: await store.create_axon(name, {}) for name in events}
    for name, axon in axons.items():
        await asyncio.gather(*(store.publish(axon.axon_id, event) for event in events[name]))
    await store.close()
    return axons
