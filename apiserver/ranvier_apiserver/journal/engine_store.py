"""The store, whichever engine stands below: commands to the one writer, pages from readers."""

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence

from ranvier.events import NewEvent
from ranvier.internal import (
    AppendAnswer,
    AppendRequest,
    AttachAnswer,
    AttachRequest,
    AxonBinding,
    AxonBindingView,
    DevboxBinding,
    DevboxView,
    ExecutingReport,
    SleepAnswer,
    SleepRequest,
)

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import AxonDeleted
from ranvier_apiserver.event_filter import EVERYTHING, EventFilter
from ranvier_apiserver.journal import box_commands, commands, pages
from ranvier_apiserver.journal.backlog import Then
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.reader import Reader
from ranvier_apiserver.journal.store import (
    AxonList,
    AxonQuery,
    Committed,
    Dated,
    FramePage,
    History,
    Listener,
    Page,
    Published,
)
from ranvier_apiserver.journal.writer import Writer
from ranvier_apiserver.state import Axon, Wake

log = logging.getLogger(__name__)


class EngineStore:
    """Implements `store.Store`; open it in the event loop that will use it."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock
        self._listeners: list[Listener] = []
        self._reader = Reader(engine.read_connection)
        self._writer = Writer(engine, clock, self._tell)
        engine.follow(self._writer.look)

    @classmethod
    async def open(cls, engine: Callable[[], Engine], clock: Clock) -> "EngineStore":
        """`engine` opens the database, on a thread, since that may take a while."""
        return cls(await asyncio.to_thread(engine), clock)

    async def close(self) -> None:
        """Commits what is queued; nothing acknowledged ever depends on this being called."""
        self._writer.stop()
        await asyncio.to_thread(self._writer.join)
        await asyncio.to_thread(self._reader.close)
        await asyncio.to_thread(self._engine.close)

    def listen(self, listener: Listener) -> None:
        self._listeners.append(listener)

    @property
    def is_healthy(self) -> bool:
        return self._writer.failure is None

    @property
    def is_reachable(self) -> bool:
        return self._engine.is_reachable

    @property
    def can_commit(self) -> bool:
        return self.is_healthy and self.is_reachable and self._writer.pulse.is_felt

    async def probe(self) -> None:
        await self._writer.submit(commands.Probe(secrets.token_bytes(16)))

    @property
    def waiting_events(self) -> int:
        return self._writer.waiting_events

    def _tell(self, committed: Committed) -> None:
        for listener in self._listeners:
            try:
                listener(committed)
            except Exception:
                # It is committed: the other listeners hear of it, and who published is answered.
                log.exception("a commit was not told to a listener")

    # --- axons

    async def create_axon(
        self, name: str | None, metadata: dict[str, str], once: bytes | None = None
    ) -> Axon:
        axon_id = _new_axon_id(self._clock())
        return await self._writer.submit(commands.CreateAxon(axon_id, name, metadata, once))

    async def axon(self, axon_id: str) -> Axon:
        return await self._writer.submit(commands.ReadAxon(axon_id))

    async def axons(self, query: AxonQuery) -> AxonList:
        return await self._reader.read(pages.axons, query, self._reader.dialect)

    async def update_axon(self, axon_id: str, metadata: dict[str, str] | None) -> Axon:
        return await self._writer.submit(commands.UpdateAxon(axon_id, metadata))

    async def delete_axon(self, axon_id: str) -> None:
        await self._writer.submit(commands.DeleteAxon(axon_id))

    # --- events

    async def publish(
        self,
        axon_id: str,
        event: NewEvent,
        once: bytes | None = None,
        expected: int | None = None,
    ) -> Published:
        return await self.publish_many(axon_id, (event,), once, expected)

    async def publish_many(
        self,
        axon_id: str,
        events: Sequence[NewEvent],
        once: bytes | None = None,
        expected: int | None = None,
    ) -> Published:
        return await self._writer.submit(commands.Publish.of(axon_id, events, once, expected))

    def publish_then(
        self,
        axon_id: str,
        events: Sequence[NewEvent],
        once: bytes | None,
        expected: int | None,
        then: Then[Published],
    ) -> None:
        self._writer.hand_in(commands.Publish.of(axon_id, events, once, expected), then)

    async def restore(self, axon_id: str, events: Sequence[Dated], expected: int) -> Published:
        return await self._writer.submit(commands.Restore.of(axon_id, events, expected))

    async def read_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> Page:
        axon = await self._live(axon_id)
        return await self._reader.read(pages.read_after, axon, after, limit, only)

    async def frames_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> FramePage:
        axon = await self._live(axon_id)
        return await self._reader.read(pages.frames_after, axon, after, limit, only)

    async def read_before(
        self, axon_id: str, before: int | None, limit: int, only: EventFilter = EVERYTHING
    ) -> History:
        axon = await self._live(axon_id)
        return await self._reader.read(pages.read_before, axon, before, limit, only)

    async def _live(self, axon_id: str) -> Axon:
        axon = self._writer.peek(axon_id) or await self.axon(axon_id)
        if axon.deleted_at_ms is not None:
            raise AxonDeleted(axon_id)
        return axon

    # --- what the operator declares and asks

    async def bind_axon(self, resource_uid: str, binding: AxonBinding) -> AxonBindingView:
        command = commands.BindAxon(resource_uid, binding, _new_axon_id(self._clock()))
        return await self._writer.submit(command)

    async def axon_bindings(self) -> list[AxonBindingView]:
        return await self._writer.submit(commands.ListClaims())

    async def unbind_axon(self, resource_uid: str) -> None:
        await self._writer.submit(commands.UnbindAxon(resource_uid))

    async def bind_devbox(self, uid: str, binding: DevboxBinding) -> DevboxView:
        return await self._writer.submit(box_commands.BindDevbox(uid, binding))

    async def devboxes(self) -> list[DevboxView]:
        return await self._writer.submit(box_commands.ListDevboxes())

    async def unbind_devbox(self, uid: str) -> None:
        await self._writer.submit(box_commands.UnbindDevbox(uid))

    async def sleep(self, uid: str, request: SleepRequest) -> SleepAnswer:
        return await self._writer.submit(box_commands.Sleep(uid, request))

    # --- what the REST API asks

    async def resume(self, uid: str) -> DevboxView:
        return await self._writer.submit(box_commands.Resume(uid))

    async def keep_alive(self, uid: str) -> None:
        await self._writer.submit(box_commands.KeepAlive(uid))

    # --- what brokers do

    async def attach(self, uid: str, index: int, request: AttachRequest) -> AttachAnswer:
        return await self._writer.submit(box_commands.Attach(uid, index, request))

    async def append(self, uid: str, index: int, request: AppendRequest) -> AppendAnswer:
        return await self._writer.submit(box_commands.Append.of(uid, index, request))

    def append_then(
        self, uid: str, index: int, request: AppendRequest, then: Then[AppendAnswer]
    ) -> None:
        self._writer.hand_in(box_commands.Append.of(uid, index, request), then)

    async def devbox(self, uid: str) -> DevboxView:
        return await self._writer.submit(box_commands.FindDevbox(uid))

    async def report_executing(self, uid: str, report: ExecutingReport) -> None:
        await self._writer.submit(box_commands.ReportExecuting(uid, report))

    async def mounted_axons(self, uid: str) -> frozenset[str]:
        return await self._writer.submit(box_commands.MountedAxons(uid))

    # --- upkeep

    async def wakes(self) -> list[Wake]:
        return await self._writer.submit(box_commands.ListWakes())

    async def tidy(self) -> bool:
        axon_number = await self._reader.read(pages.deleted_with_events)
        oldest_ms = await self._reader.read(pages.oldest_answer_ms)
        old = oldest_ms is not None and oldest_ms < self._clock() - commands.ANSWERS_KEPT_MS
        if axon_number is None and not old:
            return False
        await self._writer.submit(commands.Tidy(axon_number, old))
        return True


def _new_axon_id(now_ms: int) -> str:
    """32 hexadecimal digits, the time first, as UUIDs of version 7 have it (RFC 9562): ids made one
    after the other stand together in the index, and many axons made cost no page each."""
    return f"axn_{now_ms & 0xFFFF_FFFF_FFFF:012x}{secrets.token_hex(10)}"
