"""What the recorders share: an agent's process with a trace of all that passes, and its model.

Each line of a trace is ``{"dir": "in" | "out", "msg": …}``: "in" is what went into the agent, "out"
what it said.
"""

import argparse
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

Json = dict[str, Any]
Trace = list[Json]
Record = Callable[[list[str], Path, int], Trace]
"""Lives of an agent by its command, a home of its own and the port of its model."""

# A loaded machine took 4.2 s for the slowest step seen; an agent silent for this long is stuck.
STEP_SECONDS_MAX = 60.0
HOME_SHOWN = "home/user"


class Process:
    """One life of an agent process: messages go in, all that passes is kept in the trace."""

    def __init__(self, command: list[str], home: Path, env: dict[str, str], trace: Trace) -> None:
        self._started = time.monotonic()
        self._log = (home / "agent.log").open("ab")
        self._process = subprocess.Popen(
            command,
            cwd=home / "work",
            env=env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            start_new_session=True,
        )
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(IO[bytes], self._process.stdout)
        self._trace = trace

    def send(self, message: Json) -> None:
        """Write one message."""
        self._trace.append({"dir": "in", "msg": message})
        self._stdin.write(json.dumps(message).encode() + b"\n")
        self._stdin.flush()

    def heard(self, during: str) -> Iterator[Json]:
        """Messages as they come, until nobody asks for more. SystemExit when none comes any
        more, or the step takes too long."""
        watchdog = threading.Timer(STEP_SECONDS_MAX, self.kill)
        watchdog.start()
        try:
            for line in self._stdout:
                yield self._hear(line)
        finally:
            watchdog.cancel()
        raise SystemExit(f"the agent ended or was silent for {STEP_SECONDS_MAX} s during {during}")

    def seconds(self) -> float:
        """How long ago the process was started."""
        return round(time.monotonic() - self._started, 3)

    def kill(self) -> None:
        """SIGKILL the whole process group."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill, and keep what was still in the pipe."""
        self.kill()
        for line in self._stdout:
            self._hear(line)
        self._process.wait()
        self._stdin.close()
        self._stdout.close()
        self._log.close()

    def _hear(self, line: bytes) -> Json:
        message = cast(Json, json.loads(line))
        self._trace.append({"dir": "out", "msg": message})
        return message


@contextmanager
def scripted_model() -> Iterator[int]:
    """A scripted model for as long as the recording lasts; gives its port."""
    program = Path(__file__).with_name("scripted_model.py")
    command = [sys.executable, str(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            yield int(json.loads(cast(IO[bytes], process.stdout).readline())["port"])
        finally:
            process.terminate()


def written(trace: Trace, home: Path) -> str:
    """The trace as lines, without the paths of this machine, be they absolute or relative to /."""
    lines = [json.dumps(entry, ensure_ascii=False) for entry in trace]
    machine = str(home).lstrip("/")
    shown = {machine: HOME_SHOWN, _as_name(machine): _as_name(HOME_SHOWN)}
    for path, instead in shown.items():
        lines = [line.replace(path, instead) for line in lines]
    return "".join(f"{line}\n" for line in lines)


def _as_name(path: str) -> str:
    """How Claude Code names the folder that it keeps for a path."""
    return path.replace("/", "-")


def without(value: Any, lists: Container[str]) -> Any:
    """The same with the lists of these names emptied, and without the path of a socket outside its
    home."""
    if isinstance(value, list):
        return [without(item, lists) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {name: member for name, member in value.items() if name != "messaging_socket_path"}
    return {
        name: [] if name in lists and isinstance(member, list) else without(member, lists)
        for name, member in kept.items()
    }


def main(description: str, record: Record, shown: Callable[[Trace], Any] = list) -> None:
    """A recorder's command line. `shown`: what of the trace is written."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("command", help="how the agent is started, in one string")
    parser.add_argument("output", type=Path, help="the trace is written here")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, scripted_model() as port:
        home = Path(folder).resolve()
        trace = record(shlex.split(options.command), home, port)
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(written(shown(trace), home))
