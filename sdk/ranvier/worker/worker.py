"""A worker: functions that are called for the runtime events of axons (seed 003).

worker = Worker("reporter", axons=["axn_…"])

@worker.on_event("turn.completed")
async def on_turn(event, client):
    print(event.payload["duration_ms"])

worker.run()

Every event is delivered at least once, also when the process dies in the middle of a handler;
events of one session come in their order. A handler that fails is called again, and when that does
not help either, the failure becomes an event on the axon.
"""

import asyncio
import signal
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

from ranvier.client.aio import AsyncRanvier
from ranvier.journal import journal_of
from ranvier.views.worker_events import EventEnvelope
from ranvier.worker.client import WorkerClient
from ranvier.worker.cursors import Cursors, FileCursors
from ranvier.worker.reading import AxonReading
from ranvier.worker.trying import Limits

Handler = Callable[[EventEnvelope, WorkerClient], Awaitable[None]]

GRACE_SECONDS: Final = 30.0
"""How long a stopping worker waits for handlers that run. What they leave comes again."""


class Worker:
    """Handlers, and the axons whose events they receive.

    `name` identifies the worker: its cursor on each axon is stored under it. `axons` are ids, or
    axons of Runloop's asynchronous SDK. `concurrency` bounds the handlers that run at once.
    """

    def __init__(
        self,
        name: str,
        axons: Sequence[Any],
        *,
        client: AsyncRanvier | None = None,
        cursors: Cursors | None = None,
        concurrency: int = 1,
        limits: Limits | None = None,
        grace_seconds: float = GRACE_SECONDS,
    ) -> None:
        if concurrency < 1:
            raise ValueError("concurrency must be at least 1")
        self.name = name
        self._axons = list(axons)
        self._client = client
        self._cursors = cursors or FileCursors()
        self._concurrency = concurrency
        self._limits = limits or Limits()
        self._grace_seconds = grace_seconds
        self._handlers: dict[str, list[Handler]] = defaultdict(list)
        self._stopping: asyncio.Event | None = None

    def on_event(self, kind: str) -> Callable[[Handler], Handler]:
        """Register a handler for a kind. Several for one kind are all called."""

        def register(handler: Handler) -> Handler:
            self._handlers[kind].append(handler)
            return handler

        return register

    def run(self) -> None:
        """Work until SIGTERM or SIGINT, then stop gracefully."""
        asyncio.run(self._run())

    def stop(self) -> None:
        """Read no more; `serve` returns when the handlers that run are done."""
        if self._stopping is not None:
            self._stopping.set()

    async def serve(self) -> None:
        """Work until `stop`. Raises when an axon can not be read any more."""
        self._stopping = stopping = asyncio.Event()
        async with AsyncExitStack() as stack:
            client = self._client
            if client is None and any(isinstance(axon, str) for axon in self._axons):
                client = await stack.enter_async_context(AsyncRanvier())
            slots = asyncio.Semaphore(self._concurrency)
            readings = []
            for axon in self._axons:
                journal = journal_of(axon, client)
                opening = self._cursors.open(self.name, journal.axon_id)
                cursor = await asyncio.to_thread(stack.enter_context, opening)
                readings.append(
                    AxonReading(self.name, journal, cursor, self._handlers, slots, self._limits)
                )
            try:
                async with asyncio.TaskGroup() as group:
                    for reading in readings:
                        group.create_task(reading.work(stopping, self._grace_seconds))
            except* Exception as errors:
                raise _first(errors) from None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        await self.serve()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group: several axons that fail at once mostly fail for one reason."""
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error
