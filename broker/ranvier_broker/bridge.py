"""The bridge to the devbox container: asks the launcher there to run processes on named pipes.

The launcher (`launcher.sh`, with the line protocol in its head) outlives a broker and may itself be
started anew. So a bridge begins with a reset under a token of its own, and believes nothing before
the launcher repeats the token: what stood in the pipes before belonged to somebody else.
"""

import asyncio
import logging
import os
import secrets
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from ranvier_broker import fifos
from ranvier_broker.codecs.jsonl import LineSplitter, LineTooLong
from ranvier_broker.executions.events import RUN_PREFIX

DRAIN_SECONDS: Final = 2.0
"""How long the pipes of a dead process are read, if something that left its group holds them."""

REPORT_BYTES_MAX: Final = 4096
LOST_STATUS: Final = 137
"""Exit status told for processes that went with their launcher: as if killed."""

log = logging.getLogger("ranvier_broker.bridge")


@dataclass(frozen=True, slots=True)
class ChildCommand:
    """What to run, where, and what to add to the container's environment."""

    argv: Sequence[str]
    directory: str
    environment: dict[str, str]

    def script(self) -> str:
        """The command as a shell script."""
        words = " ".join(shlex.quote(word) for word in self.argv)
        return f"{self.before()}exec {words}\n"

    def before(self) -> str:
        """What the script does before the command."""
        directory = shlex.quote(self.directory)
        exports = [f"export {name}={shlex.quote(v)}" for name, v in self.environment.items()]
        # On a fresh volume the working directory is not there yet.
        enter = f"mkdir -p {directory} 2>/dev/null\ncd {directory} || exit 126"
        return "\n".join([*exports, enter, ""])


class Listener(Protocol):
    """Who wants to know of a child."""

    def started(self) -> None: ...
    def said(self, data: bytes) -> None: ...
    def logged(self, data: bytes) -> None: ...
    def exited(self, status: int) -> None: ...


class RunListener(Protocol):
    """Who wants to know of runs."""

    def run_started(self, run_id: str) -> None: ...
    def run_exited(self, run_id: str, status: int) -> None: ...
    def runs_listed(self, run_ids: frozenset[str], listing: int) -> None:
        """Those are all that live; a run asked for before this listing and not in it does not."""
        ...


class Child:
    """One process in the devbox container."""

    def __init__(self, bridge: "Bridge", child_id: str, folder: Path, listener: Listener) -> None:
        self._bridge = bridge
        self._id = child_id
        self._folder = folder
        self._listener = listener
        self._stdin = fifos.FifoWriter(folder / "stdin")
        self._stdout = fifos.FifoReader(folder / "stdout", listener.said)
        self._stderr = fifos.FifoReader(folder / "stderr", listener.logged)
        self._is_held = False
        self._is_started = False
        self._is_gone = False
        self._signals: list[str] = []
        self._status: int | None = None

    async def has_room(self, backlog_max: int, seconds_max: float) -> bool:
        """Wait until no more than this is left for its stdin, the pipe itself not counted.

        False if it took nothing for so long.
        """
        return await self._stdin.has_room(backlog_max, seconds_max)

    def write(self, data: bytes) -> None:
        """Write to its stdin."""
        self._stdin.write(data)

    def signal(self, name: str) -> None:
        """Send a signal to its process group, as soon as there is one."""
        if self._is_started:
            self._bridge.request(f"signal {self._id} {name}")
        else:
            self._signals.append(name)

    def hold(self) -> None:
        """Read no more of its output: it will wait when its pipe is full."""
        self._is_held = True
        self._stdout.hold()

    def release(self) -> None:
        """Read its output again."""
        self._is_held = False
        self._stdout.release()
        if self._status is not None:
            self._finish()

    def on_started(self) -> None:
        """The launcher reports it running."""
        self._is_started = True
        self._listener.started()
        for name in self._signals:
            self.signal(name)

    def on_exited(self, status: int) -> None:
        """The launcher reports it gone; what it wrote still lies in the pipes."""
        if self._status is None:
            self._status = status
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._give_up)
            self._finish()

    def _finish(self) -> None:
        if self._is_held or self._is_gone or self._status is None:
            return
        # Both, in this order: its last words before its complaints.
        if all([self._stdout.drain(), self._stderr.drain()]):
            self._close(self._status)
        else:
            asyncio.get_running_loop().call_later(DRAIN_SECONDS / 20, self._finish)

    def _give_up(self) -> None:
        if self._is_held:
            asyncio.get_running_loop().call_later(DRAIN_SECONDS, self._give_up)
        elif not self._is_gone and self._status is not None:
            self._close(self._status)

    def _close(self, status: int) -> None:
        self._is_gone = True
        for pipe in (self._stdin, self._stdout, self._stderr):
            pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._listener.exited(status)


class Bridge:
    """All processes that this broker runs in the devbox container."""

    def __init__(self, io_dir: Path, bin_dir: Path) -> None:
        self._io_dir = io_dir
        self._bin_dir = bin_dir
        self._children: dict[str, Child] = {}
        self._lines = LineSplitter(REPORT_BYTES_MAX)
        self._token = ""
        self._is_trusted = False
        self._is_reset = asyncio.Event()
        self._count = 0
        self._listing: set[str] = set()
        self._runs: RunListener | None = None
        self.resets = 0
        """How often all processes were given up, the first time included."""

    def open(self) -> None:
        """Make the pipes, then the launcher's script: it must find them when it starts."""
        for name in ("control", "events"):
            fifos.make(self._io_dir / name)
        self._control = fifos.FifoWriter(self._io_dir / "control")
        self._events = fifos.FifoReader(self._io_dir / "events", self._reported, is_endless=True)
        self._reset()
        script = Path(__file__).with_name("launcher.sh").read_bytes()
        draft = self._bin_dir / f".launcher.sh.{os.getpid()}"
        draft.write_bytes(script)
        draft.chmod(0o755)
        draft.replace(self._bin_dir / "launcher.sh")

    def spawn(self, command: ChildCommand, listener: Listener) -> Child:
        """Ask for a process. Its listener hears of it at last by `exited`."""
        self._count += 1
        child_id = f"{self._token}-{self._count}"
        folder = self._io_dir / child_id
        folder.mkdir()
        folder.chmod(0o2770)  # the group stays that of the volume, whoever we run as
        for name in ("stdin", "stdout", "stderr"):
            fifos.make(folder / name)
        script = folder / "command"
        script.write_text(command.script())
        script.chmod(0o640)
        child = self._children[child_id] = Child(self, child_id, folder, listener)
        self.request(f"spawn {child_id}")
        return child

    def listen_to_runs(self, listener: RunListener) -> None:
        """Tell of runs from now on; first, which there are."""
        self._runs = listener
        if self._is_trusted:
            listener.runs_listed(frozenset(self._listing), self.resets)

    def start_run(self, run_id: str) -> int:
        """Ask for a run whose folder is ready; return the number of the listing before it."""
        self.request(f"run {run_id}")
        return self.resets

    def request(self, line: str) -> None:
        """Write one line to the launcher."""
        self._control.write(f"{line}\n".encode())

    async def close(self, seconds_max: float) -> None:
        """Kill every process; return when they are gone, or the time is over."""
        self._control.close()
        if not fifos.has_reader(self._io_dir / "control"):
            log.info("the launcher is gone, and all processes with it")
            self._events.close()
            return
        self._control = fifos.FifoWriter(self._io_dir / "control")
        self._reset()
        try:
            async with asyncio.timeout(seconds_max):
                await self._is_reset.wait()
        except TimeoutError:
            log.warning("the launcher did not answer in time; the container's end will do it")
        self._events.close()
        self._control.close()

    def _reset(self) -> None:
        self._token = secrets.token_hex(4)
        self._is_trusted = False
        self._is_reset.clear()
        self._listing.clear()
        self.resets += 1
        self.request(f"reset {self._token}")

    def _reported(self, data: bytes) -> None:
        for line in self._lines.feed(data):
            words = [] if isinstance(line, LineTooLong) else line.split()
            match words:
                case [b"ready", token]:
                    self._ready(token.decode(errors="replace"))
                case [b"running", run_id]:
                    self._listing.add(run_id.decode(errors="replace"))
                case [b"started", child_id, _] if self._is_trusted:
                    self._started(child_id.decode(errors="replace"))
                case [b"exited", child_id, status] if self._is_trusted and status.isdigit():
                    self._exited(child_id.decode(errors="replace"), int(status))
                case _:
                    pass

    def _started(self, child_id: str) -> None:
        if (child := self._children.get(child_id)) is not None:
            child.on_started()
        elif self._runs is not None and child_id.startswith(RUN_PREFIX):
            self._runs.run_started(child_id)

    def _exited(self, child_id: str, status: int) -> None:
        if child := self._children.pop(child_id, None):
            child.on_exited(status)
        elif self._runs is not None and child_id.startswith(RUN_PREFIX):
            self._runs.run_exited(child_id, status)

    def _ready(self, token: str) -> None:
        if token == self._token:
            self._is_trusted = True
            self._is_reset.set()
            self._sweep()
            if self._runs is not None:
                self._runs.runs_listed(frozenset(self._listing), self.resets)
            return
        self._listing.clear()  # what stood before belongs to an older listing
        if token == "-" and self._is_trusted:
            log.warning("the devbox container was started anew; its processes are gone")
            lost, self._children = self._children, {}
            self._reset()
            for child in lost.values():
                child.on_exited(LOST_STATUS)

    def _sweep(self) -> None:
        """Remove what an earlier broker's processes left."""
        for folder in self._io_dir.iterdir():
            is_run = folder.name.startswith(RUN_PREFIX)
            if folder.is_dir() and not is_run and folder.name not in self._children:
                shutil.rmtree(folder, ignore_errors=True)
