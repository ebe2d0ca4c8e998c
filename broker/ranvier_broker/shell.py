"""The shell: performs what the turn machines command and tells them what came of it.

One process, one loop, one machine a mount. Nothing is decided here. Events are fed one after the
other, never from within the handling of another, so a machine's commands are always performed
before it hears anything more.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, assert_never

from ranvier_broker import commands, events
from ranvier_broker.bridge import Bridge, Child, ChildCommand
from ranvier_broker.codecs import codec_for
from ranvier_broker.feeding import Feed
from ranvier_broker.journal_seam import Journal, Lost
from ranvier_broker.one_turn import Mount
from ranvier_broker.readiness import Readiness
from ranvier_broker.settings import MountSettings, Settings
from ranvier_broker.turns import TurnMachine

if TYPE_CHECKING:
    from ranvier_broker.executions.line import Line

BACKLOG_BYTES_MAX: Final = 16 * 1024 * 1024
"""Bytes that an agent has not taken from its stdin, or bytes of requests that it has not answered,
before the axon is read no further: they are in this process's memory."""

FLUSH_SECONDS_MAX: Final = 2.0
"""How long a broker that is told to go waits for its last events to be on disk."""

KILL_SECONDS_MAX: Final = 2.0

log = logging.getLogger("ranvier_broker")
_LEVELS: Final = {commands.Level.INFO: logging.INFO, commands.Level.WARNING: logging.WARNING}

LoadJournal = Callable[[], Journal]


class Clock:
    """Milliseconds since the epoch that never go back, whatever is done to the wall clock."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._offset_ms = time.time_ns() / 1e6 - self._loop.time() * 1000

    def now_ms(self) -> int:
        return int(self._loop.time() * 1000 + self._offset_ms)

    def call_at(self, at_ms: int, callback: Callable[[], None]) -> asyncio.TimerHandle:
        # A millisecond late rather than early: early would wake for nothing and come again.
        return self._loop.call_at((at_ms + 1 - self._offset_ms) / 1000, callback)


class Broker:
    """All mounts of a pod."""

    def __init__(self, settings: Settings, load_journal: LoadJournal, started_ms: int) -> None:
        self._settings = settings
        self._load_journal = load_journal
        self._started_ms = started_ms
        self._bridge = Bridge(settings.io_dir, settings.bin_dir)
        self._stop = asyncio.Event()

    def stop(self, reason: str) -> None:
        """End soon, with status 0."""
        log.info("stopping: %s", reason)
        self._stop.set()

    async def run(self) -> None:
        """Serve until stopped. Raises when a mount can not go on."""
        self._bridge.open()
        try:
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(self._serve())
                await self._stop.wait()
                serving.cancel()
        finally:
            await self._bridge.close(KILL_SECONDS_MAX)

    async def _serve(self) -> None:
        journal: asyncio.Future[Journal] = asyncio.get_running_loop().create_future()
        clock = Clock()
        async with asyncio.TaskGroup() as group:
            mounts = [
                MountShell(mount, self._settings, self._bridge, journal, clock, group, self.stop)
                for mount in self._settings.mounts
            ]
            for mount in mounts:  # first of all: the agents start meanwhile
                mount.feed(events.Begun(self._started_ms))
            readiness = Readiness(lambda: all(mount.is_ready for mount in mounts))
            server = await readiness.serve(self._settings.ready_port)
            loaded = self._load_journal()
            journal.set_result(loaded)
            line = self._serve_executions(clock, group)
            try:
                await asyncio.Event().wait()
            finally:
                server.close()
                line.close()
                await self._flush(mounts)
                loaded.close()

    def _serve_executions(self, clock: Clock, group: asyncio.TaskGroup) -> "Line":
        """Imported late: no agent waits for it."""
        from ranvier_broker.executions.desk import Desk
        from ranvier_broker.executions.line import Line
        from ranvier_broker.executions.shelf import Shelf
        from ranvier_broker.home import HomeWatch

        settings = self._settings
        shelf = Shelf(settings.executions_dir, settings.io_dir, settings.home)
        line = Line(settings, group)
        desk = Desk(shelf, self._bridge, clock.now_ms, line.report)
        group.create_task(line.run(desk))
        group.create_task(HomeWatch(settings, line.http).run())
        return line

    async def _flush(self, mounts: "list[MountShell]") -> None:
        """Let the last events reach the disk, unless the journal is away."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS_MAX):
                for mount in mounts:
                    await mount.written()
        except TimeoutError:
            log.warning("some events were not written; the next broker closes the open turn")


class MountShell:
    """One mount: its machine, its agent's process, its tasks."""

    def __init__(
        self,
        mount: MountSettings,
        settings: Settings,
        bridge: Bridge,
        journal: "asyncio.Future[Journal]",
        clock: Clock,
        group: asyncio.TaskGroup,
        stop: Callable[[str], None],
    ) -> None:
        codec, refusal = codec_for(mount.protocol, mount.working_directory)
        place = Mount(settings.devbox_uid, mount.index, settings.generation)
        argv = (mount.agent_binary, *mount.launch_args)
        self._machine = TurnMachine(
            place, codec, argv=argv, refusal=refusal, patience=mount.patience
        )
        self._mount = mount
        self._bridge = bridge
        self._journal = journal
        self._clock = clock
        self._group = group
        self._stop = stop
        self._environment = {"HOME": settings.home}
        self._child: Child | None = None
        self._run = 0
        self._subscription: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._feed = Feed[events.Event, commands.Command](
            lambda event: self._machine.handle(event, clock.now_ms()), self._perform, self._settled
        )
        self._has_fed = asyncio.Event()

    @property
    def is_ready(self) -> bool:
        return self._machine.is_ready

    async def written(self) -> None:
        """Wait until nothing is left to append."""
        while not self._machine.is_written:
            self._has_fed.clear()
            await self._has_fed.wait()

    def feed(self, event: events.Event) -> None:
        """Tell the machine; perform what follows."""
        self._feed(event)

    def _settled(self) -> None:
        self._has_fed.set()
        if self._timer is not None:
            self._timer.cancel()
        at_ms = self._machine.wake_at_ms
        wake = events.TimeCame()
        self._timer = None if at_ms is None else self._clock.call_at(at_ms, lambda: self.feed(wake))

    def _perform(self, command: commands.Command) -> None:
        match command:
            case commands.Attach():
                self._group.create_task(self._attach())
            case commands.Append():
                self._group.create_task(self._append(command))
            case commands.Subscribe():
                if self._subscription is not None:
                    self._subscription.cancel()
                self._subscription = self._group.create_task(self._subscribe(command))
            case commands.StartAgent(run, argv):
                child = ChildCommand(argv, self._mount.working_directory, self._environment)
                self._child, self._run = self._bridge.spawn(child, AgentListener(self, run)), run
            case commands.Log(level, message):
                log.log(_LEVELS[level], "mount %d: %s", self._mount.index, message)
            case commands.Stop(reason):
                self._stop(reason)
            case _:
                if self._child is not None:
                    _to_child(self._child, command)

    # --- the journal

    async def _attach(self) -> None:
        journal = await asyncio.shield(self._journal)
        try:
            self.feed(await journal.attach(self._mount.index))
        except Lost as error:
            self._lost(error)

    async def _append(self, append: commands.Append) -> None:
        try:
            self.feed(await self._journal.result().append(self._mount.index, append))
        except Lost as error:
            self._lost(error)

    def _lost(self, error: Lost) -> None:
        log.info("mount %d is lost: %s", self._mount.index, error)
        self.feed(events.Fenced())

    async def _subscribe(self, command: commands.Subscribe) -> None:
        stream = self._journal.result().subscribe(self._mount.axon_id, command.after_sequence)
        async for event in stream:
            self.feed(events.Arrived(command.subscription, event))
            await self._has_room()

    async def _has_room(self) -> None:
        """Wait until the agent has taken and answered most of what it was given."""
        patience = self._mount.patience.silence_ms / 1000
        while (child := self._child) and not await child.has_room(BACKLOG_BYTES_MAX, patience):
            self.feed(events.AgentBlocked(self._run))
        while self._machine.unanswered_bytes > BACKLOG_BYTES_MAX:
            self._has_fed.clear()
            await self._has_fed.wait()


class AgentListener:
    """Tells a mount's machine of one process of its agent."""

    def __init__(self, shell: MountShell, run: int) -> None:
        self._shell = shell
        self._run = run

    def started(self) -> None:
        self._shell.feed(events.AgentStarted(self._run))

    def said(self, data: bytes) -> None:
        self._shell.feed(events.AgentSaid(self._run, data))

    def logged(self, data: bytes) -> None:
        self._shell.feed(events.AgentLogged(self._run, data))

    def exited(self, status: int) -> None:
        self._shell.feed(events.AgentExited(self._run, status))


def _to_child(
    child: Child,
    command: commands.WriteAgent
    | commands.SignalAgent
    | commands.HoldAgent
    | commands.ReleaseAgent,
) -> None:
    match command:
        case commands.WriteAgent(_, data):
            child.write(data)
        case commands.SignalAgent(_, signal):
            child.signal(signal)
        case commands.HoldAgent():
            child.hold()
        case commands.ReleaseAgent():
            child.release()
        case _:
            assert_never(command)
