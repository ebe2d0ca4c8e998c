"""The launcher under every shell that an image may have, with real processes.

bash has job control without a terminal; dash and busybox lean on `setsid`; where that is missing
too, the tree of children is walked. Each way must keep the same promises.
"""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ranvier_broker.bridge import Bridge, Child, ChildCommand
from ranvier_broker.executions.events import Execution
from ranvier_broker.executions.shelf import Shelf
from ranvier_broker.fifos import FifoWriter

FACT_SECONDS_MAX = 10.0
SHELLS = {
    "dash": ("dash", True),
    "bash": ("bash", True),
    "busybox": ("busybox", True),
    "dash without setsid": ("dash", False),
}


class Heard:
    """A listener that keeps what it hears."""

    def __init__(self) -> None:
        self.is_started = False
        self.out, self.err = b"", b""
        self.status: int | None = None

    def started(self) -> None:
        self.is_started = True

    def said(self, data: bytes) -> None:
        self.out += data

    def logged(self, data: bytes) -> None:
        self.err += data

    def exited(self, status: int) -> None:
        self.status = status


async def until(holds: object, what: str) -> None:
    assert callable(holds)
    deadline = time.monotonic() + FACT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


class Container:
    """A launcher with a bridge; the processes that it starts work in `home`."""

    def __init__(self, folder: Path, shell: str, has_setsid: bool) -> None:
        self.folder = folder
        for name in ("io", "bin", "home", "path"):
            (folder / name).mkdir()
        program = shutil.which(shell)
        if program is None:
            pytest.skip(f"{shell} is not installed")
        # As /bin/sh: busybox must be called by the name of its applet.
        self.shell = folder / "path" / "sh"
        self.shell.symlink_to(program)
        commands = ["cat", "sleep", "head", "mkdir", "ls"] + ["setsid"] * has_setsid
        for command in commands:
            found = shutil.which(command)
            assert found is not None
            (folder / "path" / command).symlink_to(found)
        self.bridge = Bridge(folder / "io", folder / "bin")
        self.bridge.open()
        self.launcher = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        script = str(self.folder / "bin" / "launcher.sh")
        return subprocess.Popen(
            [str(self.shell), script, str(self.folder / "io")],
            env={"PATH": str(self.folder / "path"), "RANVIER_SHELL": str(self.shell)},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, script: str) -> tuple[Child, Heard]:
        heard = Heard()
        argv = [str(self.shell), "-c", script]
        command = ChildCommand(argv, str(self.folder / "home"), {"HOME": "/it's"})
        return self.bridge.spawn(command, heard), heard

    def processes(self) -> list[int]:
        """What runs in the home folder, zombies not counted."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if (folder / "cwd").readlink() == self.folder / "home":
                    found.append(int(folder.name))
            except OSError:
                continue
        return found

    def zombies(self) -> list[str]:
        """Of the launcher's own processes, and of what they started."""
        found, parents = [], [self.launcher.pid]
        while parents:
            parent = parents.pop()
            with contextlib.suppress(OSError):  # it may end meanwhile
                kin = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
                parents += map(int, kin)
                states = [Path(f"/proc/{pid}/stat").read_text() for pid in kin]
                found += [state for state in states if ") Z " in state]
        return found


@pytest.fixture(params=SHELLS)
async def container(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Container]:
    container = Container(tmp_path, *SHELLS[request.param])
    yield container
    await container.bridge.close(5.0 if container.launcher.poll() is None else 0.0)
    container.launcher.terminate()
    container.launcher.wait(10)
    await until(lambda: container.processes() == [], "something was left behind")


async def test_streams_status_and_environment_pass(container: Container) -> None:
    child, heard = container.run('echo "$HOME"; cat; echo bad >&2; exit 7')
    child.write(b"hello\n")
    await until(lambda: b"hello" in heard.out, "no echo")
    assert heard.is_started
    child._stdin.close()
    await until(lambda: heard.status is not None, "no exit")
    assert (heard.out, heard.err, heard.status) == (b"/it's\nhello\n", b"bad\n", 7)


async def test_much_passes_unharmed_both_ways_and_a_hold_loses_nothing(
    container: Container,
) -> None:
    child, heard = container.run("cat")
    data = os.urandom(5_000_000)
    child.hold()
    child.write(data)
    await until(lambda: heard.is_started, "not started")
    assert heard.out == b""
    child.release()
    await until(lambda: len(heard.out) == len(data), "not all came back")
    assert heard.out == data


async def test_a_signal_reaches_what_the_child_started(container: Container) -> None:
    child, heard = container.run("sleep 1000 & sleep 1000")
    await until(lambda: len(container.processes()) >= 2, "not running")
    child.signal("TERM")
    await until(lambda: heard.status is not None, "no exit")
    assert heard.status == 128 + signal.SIGTERM
    await until(lambda: container.processes() == [], "something was left behind")


async def test_what_a_child_leaves_behind_goes_with_it(container: Container) -> None:
    if not (container.folder / "path" / "setsid").exists():
        pytest.skip("without process groups an orphan can not be found")
    _, heard = container.run("sleep 1000 & exit 3")
    await until(lambda: heard.status == 3, "no exit")
    await until(lambda: container.processes() == [], "something was left behind")


async def test_a_reset_kills_all_and_new_children_come_after_it(container: Container) -> None:
    _, old = container.run("trap '' TERM; echo on; sleep 1000 & while :; do sleep 1; done")
    await until(lambda: old.out == b"on\n", "not running")
    before = container.processes()
    container.bridge._reset()
    _, new = container.run("echo new")
    await until(lambda: new.status == 0, "the new one did not run")
    await until(lambda: not set(before) & set(container.processes()), "an old one lives")


async def test_a_signal_before_the_start_is_not_lost(container: Container) -> None:
    child, heard = container.run("sleep 1000")
    child.signal("KILL")
    await until(lambda: heard.status == 128 + signal.SIGKILL, "no exit")


async def test_garbage_is_passed_over(container: Container) -> None:
    for line in (
        "",
        "   ",
        "spawn",
        "spawn ../../x",
        "signal x",
        "signal x KILL;ls",
        "\\ $(ls) `",
        "reset",
    ):
        container.bridge.request(line)
    container.bridge._control.write(b"\xff\xfe \x80\n")
    _, heard = container.run("echo fine")
    await until(lambda: heard.status == 0, "the launcher is confused")


async def test_no_zombies_are_left(container: Container) -> None:
    heard = [container.run("exit 0")[1] for _ in range(20)]
    await until(lambda: all(h.status == 0 for h in heard), "not all ended")
    await until(lambda: container.zombies() == [], "zombies")


async def test_term_ends_gently_and_soon(container: Container) -> None:
    """Pod deletion: who listens to TERM gets its time, who does not is killed."""
    _, gentle = container.run("trap 'echo bye; exit 0' TERM; echo on; while :; do sleep 0.1; done")
    await until(lambda: gentle.out == b"on\n", "not running")
    begun = time.monotonic()
    container.launcher.terminate()
    assert await asyncio.to_thread(container.launcher.wait, 10) == 0
    assert time.monotonic() - begun < 2.5, "it waited though all were gone"
    await until(lambda: gentle.status == 0, "no exit")
    assert gentle.out == b"on\nbye\n"


async def test_term_kills_the_deaf_after_a_grace(container: Container) -> None:
    _, deaf = container.run("trap '' TERM; echo on; while :; do sleep 1; done")
    await until(lambda: deaf.out == b"on\n", "not running")
    container.launcher.terminate()
    assert await asyncio.to_thread(container.launcher.wait, 10) == 0
    await until(lambda: container.processes() == [], "something was left behind")


async def test_a_launcher_started_anew_means_that_its_children_are_gone(
    container: Container,
) -> None:
    _, lost = container.run("echo on; sleep 1000")
    await until(lambda: lost.out == b"on\n", "not running")
    container.launcher.terminate()
    await asyncio.to_thread(container.launcher.wait, 10)
    container.launcher = container.start()
    await until(lambda: lost.status is not None, "no exit")
    # The old launcher reported the exit; that there is a new one is told after it.
    await until(lambda: container.bridge.resets == 2, "the new launcher was not noticed")
    _, new = container.run("echo new")
    await until(lambda: new.status == 0, "the new launcher does not serve")


async def test_a_missing_program_is_status_127(container: Container) -> None:
    heard = Heard()
    command = ChildCommand(["no-such-program"], str(container.folder / "home"), {})
    container.bridge.spawn(command, heard)
    await until(lambda: heard.status == 127, "no exit")
    assert b"not found" in heard.err


class HeardOfRuns:
    """A listener that keeps what it hears of runs."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.exits: dict[str, int] = {}
        self.listed: frozenset[str] | None = None

    def run_started(self, run_id: str) -> None:
        self.started.append(run_id)

    def run_exited(self, run_id: str, status: int) -> None:
        self.exits[run_id] = status

    def runs_listed(self, run_ids: frozenset[str], listing: int) -> None:
        self.listed = run_ids


async def test_a_run_outlives_its_broker_and_keeps_every_byte(container: Container) -> None:
    """No broker reads for a while, and the one that comes asks for nothing but a reset."""
    home = str(container.folder / "home")
    shelf = Shelf(container.folder / "executions", container.folder / "io", home)
    list(shelf.load())
    script = 'while read -r line; do echo "got $line"; done; head -c 50000 /dev/zero; exit 9'
    shelf.lay_out(Execution("exe_1", script, True, 10**6))
    heard = HeardOfRuns()
    container.bridge.listen_to_runs(heard)
    container.bridge.start_run("exe_1")
    await until(lambda: heard.started == ["exe_1"], "not started")
    stdin = FifoWriter(shelf.pipe("exe_1", "stdin"))
    stdin.write(b"one\n")
    stdin.close()  # as a broker's end does; the run must not take it for the end of its input
    container.bridge._events.close()
    container.bridge._control.close()

    container.bridge = Bridge(container.folder / "io", container.folder / "bin")
    container.bridge.open()
    heard = HeardOfRuns()
    container.bridge.listen_to_runs(heard)
    await until(lambda: heard.listed == {"exe_1"}, "not listed")
    stdin = FifoWriter(shelf.pipe("exe_1", "stdin"))
    stdin.write(b"two\n")
    stdin.close()
    container.bridge.request("eof exe_1")
    await until(lambda: heard.exits == {"exe_1": 9}, "no exit")
    assert shelf.exit_status("exe_1") == 9
    output = os.open(shelf.pipe("exe_1", "stdout"), os.O_RDONLY | os.O_NONBLOCK)
    assert os.read(output, 100_000) == b"got one\ngot two\n" + bytes(50_000)
    os.close(output)
    shelf.release("exe_1")
    deadline = time.monotonic() + FACT_SECONDS_MAX
    while heard.listed:  # a listing is of its moment, and the keeper takes one to go
        assert time.monotonic() < deadline, "its keeper stayed"
        heard.listed = None
        container.bridge._reset()
        await until(lambda: heard.listed is not None, "not listed again")
