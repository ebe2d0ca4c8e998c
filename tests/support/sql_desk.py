"""A SQL worker in this process, over a journal with axons of known events."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ranvier.events import NewEvent
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Job, Outcome, Reply, Statement
from ranvier_apiserver.axon_sql.worker import Worker
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.state import Axon

Sql = str | tuple[str, ...]
"""A query, or the statements of a batch."""


class SqlDesk:
    """`events` are published first, and the journal is closed: this process may not open it with
    two SQLite libraries at once."""

    def __init__(
        self, folder: Path, events: Mapping[str, Sequence[NewEvent]], limits: Limits | None = None
    ) -> None:
        self.folder = folder
        self.files = folder / "sql"
        self.files.mkdir()
        self.axons = asyncio.run(_published(folder, events))
        self.limits = limits or Limits(seconds=5)
        self.now_ms = 1_000
        self.new_worker()

    def new_worker(self) -> None:
        """As after a crash: nothing is open, nothing is remembered."""
        self.worker = Worker(self.files, self.folder / FILE_NAME, self.limits, time.perf_counter)

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


async def _published(folder: Path, events: Mapping[str, Sequence[NewEvent]]) -> dict[str, Axon]:
    store = await EngineStore.open(lambda: SqliteEngine(folder), lambda: 1_000)
    axons = {name: await store.create_axon(name, {}) for name in events}
    for name, axon in axons.items():
        await asyncio.gather(*(store.publish(axon.axon_id, event) for event in events[name]))
    await store.close()
    return axons
