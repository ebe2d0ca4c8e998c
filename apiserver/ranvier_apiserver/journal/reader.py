"""The threads that read pages, each read on a connection and in a transaction of its own.

One read is one call on one thread, so a caller that is cancelled leaves nothing half done behind.
"""

import asyncio
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Final, ParamSpec, TypeVar

from ranvier_apiserver.journal.engine import Dialect, ReadConnection, Session

CONNECTIONS: Final = 2
"""The interpreter runs one thread at a time, so more would not read faster."""

P = ParamSpec("P")
T = TypeVar("T")


class Reader:
    """Runs the functions of `pages`; `close` waits for reads that are under way."""

    def __init__(self, connect: Callable[[], ReadConnection]) -> None:
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="journal-reader")
        self._free: queue.SimpleQueue[ReadConnection] = queue.SimpleQueue()
        for _ in range(CONNECTIONS):
            self._free.put(connect())
        first = self._free.get()
        self.dialect: Dialect = first.dialect
        self._free.put(first)

    async def read(
        self,
        function: Callable[Concatenate[Session, P], T],
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
            with connection.snapshot() as session:
                return function(session, *arguments)
        finally:
            self._free.put(connection)
