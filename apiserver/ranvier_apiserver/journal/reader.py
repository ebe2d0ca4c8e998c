"""Read-only connections and the threads that use them.

Readers never block the writer, nor it them. One read is one call on one thread and one transaction,
so a caller that is cancelled leaves nothing half done behind.
"""

import asyncio
import queue
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Concatenate, Final, ParamSpec, TypeVar

from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal import opening

CONNECTIONS: Final = 2
"""The interpreter runs one thread at a time, so more would not read faster."""

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Runs the functions of `pages`; `close` waits for reads that are under way."""

    def __init__(self, path: Path) -> None:
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="journal-reader")
        self._free: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        for _ in range(CONNECTIONS):
            self._free.put(opening.read_only(path))

    async def read(
        self,
        function: Callable[Concatenate[sqlite3.Connection, P], T],
        *arguments: P.args,
        **_: P.kwargs,
    ) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._read, function, *arguments)

    def close(self) -> None:
        self._pool.shutdown()
        for _ in range(CONNECTIONS):
            self._free.get().close()

    def _read(self, function: Callable[..., T], *arguments: object) -> T:
        connection = self._free.get()
        try:
            connection.execute("BEGIN")
            return function(connection, *arguments)
        except sqlite3.DatabaseError as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
                raise JournalDamaged(f"The journal is damaged: {error}.") from error
            raise
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            self._free.put(connection)
