"""One worker on one axon: reads events, keeps those of a session in order, moves the cursor."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

from ranvier.events import AxonEvent
from ranvier.journal import Journal
from ranvier.views.worker_events import EventEnvelope, WorkerEvents
from ranvier.worker.client import SOURCE_PREFIX, WorkerClient
from ranvier.worker.cursors import Cursor
from ranvier.worker.progress import Position, Progress
from ranvier.worker.trying import HANDLER_FAILED, Limits, deliver

READ_AHEAD_MAX: Final = 1_000
"""Events that are read before the cursor passes them; beyond, the axon is not read on."""

SAVE_SECONDS: Final = 0.05
"""Least time between two saves of the cursor: what was handled since comes again after a kill."""

Handler = Callable[[EventEnvelope, WorkerClient], Awaitable[None]]


class AxonReading:
    """Reads one axon for one worker, from its cursor on. A lane is the events of one session."""

    def __init__(
        self,
        worker: str,
        journal: Journal,
        cursor: Cursor,
        handlers: Mapping[str, Sequence[Handler]],
        slots: asyncio.Semaphore,
        limits: Limits,
    ) -> None:
        self._worker = worker
        self._journal = journal
        self._cursor = cursor
        self._handlers = handlers
        self._slots = slots
        self._limits = limits
        self._lanes: dict[str | None, deque[tuple[EventEnvelope, Handler]]] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._progress = Progress(Position())
        self._has_moved = asyncio.Event()
        self._has_room = asyncio.Event()
        self._is_over = False

    async def work(self, stopping: asyncio.Event, grace_seconds: float) -> None:
        """Read and deliver until `stopping`; then finish what runs, and save the cursor."""
        position = await asyncio.to_thread(self._cursor.load)
        self._progress = Progress(position)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keep_saved())
            await self._read_until(stopping, grace_seconds, position)
            self._is_over = True
            self._has_moved.set()

    async def _read_until(
        self, stopping: asyncio.Event, grace_seconds: float, position: Position
    ) -> None:
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(self._read(position, group))
            await stopping.wait()
            reader.cancel()
            # Only what runs is finished; what waits comes at the next start.
            for lane in self._lanes.values():
                lane.clear()
            if self._running:
                _, late = await asyncio.wait(self._running, timeout=grace_seconds)
                for task in late:
                    task.cancel()

    async def _read(self, position: Position, group: asyncio.TaskGroup) -> None:
        view = WorkerEvents(position.memory)
        async with aclosing(self._journal.subscribe(position.read_after)) as events:
            async for event in events:
                wanted = self._wanted(event, view.read(event))
                if event.sequence <= position.cursor:
                    continue
                if view.is_quiet and self._progress.wants_note(event.sequence):
                    self._progress.note(event.sequence, view.memory())
                self._progress.delivered(event.sequence, len(wanted))
                for envelope, handler in wanted:
                    self._put(envelope, handler, group)
                self._has_moved.set()
                while self._progress.events_ahead >= READ_AHEAD_MAX:
                    self._has_room.clear()
                    await self._has_room.wait()

    def _wanted(
        self, event: AxonEvent, envelopes: list[EventEnvelope]
    ) -> list[tuple[EventEnvelope, Handler]]:
        if event.event_type == HANDLER_FAILED and event.source == SOURCE_PREFIX + self._worker:
            return []  # a worker that fails on its own failures would never come to an end
        return [
            (envelope, handler)
            for envelope in envelopes
            for handler in self._handlers.get(envelope.kind, ())
        ]

    def _put(self, envelope: EventEnvelope, handler: Handler, group: asyncio.TaskGroup) -> None:
        session = envelope.session_id
        if session in self._lanes:
            self._lanes[session].append((envelope, handler))
            return
        self._lanes[session] = deque([(envelope, handler)])
        task = group.create_task(self._work_lane(session))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _work_lane(self, session: str | None) -> None:
        lane = self._lanes[session]
        while lane:
            envelope, handler = lane.popleft()
            await deliver(envelope, handler, self._journal, self._worker, self._slots, self._limits)
            self._progress.handled(envelope.sequence)
            self._has_moved.set()
            self._has_room.set()
        del self._lanes[session]

    async def _keep_saved(self) -> None:
        saved = self._progress.position
        while True:
            await self._has_moved.wait()
            self._has_moved.clear()
            is_over, position = self._is_over, self._progress.position
            if position != saved:
                await asyncio.to_thread(self._cursor.save, position)
                saved = position
            if is_over:
                return
            await asyncio.sleep(SAVE_SECONDS)
