"""A Docker daemon to put the nodes in: the machine's own when one answers, else a private one.

The private daemon shares nothing with any other: its own socket, data and runtime folders, its own
control group. Its record names the process by pid *and* start time, so that nothing else is ever
taken for it, let alone ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kind import debian, machine, runtime_wrapper
from kind.errors import Failure
from kind.places import Places
from kind.processes import answer, lines_of, succeeds, system_path, tail
from kind.progress import Progress

# A daemon that is there answers within milliseconds; a DOCKER_HOST behind SSH within seconds.
ANSWER_SECONDS_MAX = 10.0
START_SECONDS_MAX = 60.0
# dockerd gives containers 15 s to end (--shutdown-timeout); then it is ended by force.
STOP_SECONDS_MAX = 25.0


@dataclass(frozen=True)
class Docker:
    """A daemon that answers. `host` is what DOCKER_HOST must be; empty for the machine's
    default."""

    host: str
    private: bool

    @property
    def environment(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.host} if self.host else {}

    def ask(self, *words: str | Path) -> str:
        return answer(["docker", *words], environment=self.environment)

    def has_image(self, reference: str) -> bool:
        return succeeds(["docker", "image", "inspect", reference], environment=self.environment)

    @property
    def cgroup_version(self) -> str:
        return self.ask("info", "--format", "{{.CgroupVersion}}").strip()


@dataclass(frozen=True)
class Record:
    """What is written down about the private daemon while it runs."""

    pid: int
    started: str
    boot: str


def running(places: Places, environment: Mapping[str, str] = os.environ) -> Docker | None:
    """The daemon in use: ours if it runs, else the one that DOCKER_HOST or Docker's default leads
    to."""
    own = Docker(f"unix://{places.docker_socket}", private=True)
    if _recorded(places) is not None:
        return own if _answers(own) else None
    host = environment.get("DOCKER_HOST", "")
    other = Docker("" if host == own.host else host, private=False)
    return other if debian.which("docker") and _answers(other) else None


def ensure(places: Places, progress: Progress) -> Docker:
    """A daemon that answers, started first where there is none."""
    docker = running(places)
    if docker is not None:
        return docker
    if not debian.can_install():
        raise Failure(
            "no Docker daemon answers",
            "install and start Docker (or set DOCKER_HOST), or run this as root on Debian, "
            "where it starts a private daemon",
        )
    debian.ensure_docker(places, progress)
    docker = running(places)  # on a machine with an init system, installing may have started one
    if docker is not None:
        return docker
    with progress.step("starting a private Docker daemon"):
        return _start(places)


def stop(places: Places, progress: Progress) -> None:
    """End the private daemon and take back all it did. Does nothing where there is none."""
    if _recorded(places) is None and machine.remembered(places) is None:
        return
    with progress.step("ending the private Docker daemon"):
        docker, record = running(places), _recorded(places)
        if docker is not None:
            _empty(docker)
        if record is not None:
            _end(record.pid)
        _end_leftovers(places)
        left = machine.put_back(places)
        for path in (places.docker_record, places.docker_socket, places.state / "docker.pid"):
            path.unlink(missing_ok=True)
    for difference in left:
        progress.note(f"not as before: {difference}")
    if not left:
        progress.note("the machine is as before: interfaces, cgroups, mounts, firewall, settings")


def _answers(docker: Docker) -> bool:
    command = ["docker", "version", "--format", "{{.Server.Version}}"]
    return succeeds(command, environment=docker.environment, seconds_max=ANSWER_SECONDS_MAX)


def _recorded(places: Places) -> Record | None:
    """The private daemon's record, if that very process still lives."""
    if not places.docker_record.exists():
        return None
    record = Record(**json.loads(places.docker_record.read_text()))
    alive = record.boot == machine.boot_id() and record.started == _start_time(record.pid)
    return record if alive else None


def _start_time(pid: int) -> str | None:
    """Clock ticks from boot to the process's start (field 22 of proc(5) stat): with the pid, its
    identity."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    fields = status.rpartition(")")[2].split()
    return None if fields[0] == "Z" else fields[19]


def _start(places: Places) -> Docker:
    for folder in (places.docker_data, places.docker_exec, places.logs):
        folder.mkdir(parents=True, exist_ok=True)
    machine.remember(places)
    places.docker_socket.unlink(missing_ok=True)
    (places.state / "docker.pid").unlink(missing_ok=True)
    _forget_dead_containerd(places)
    log = places.logs / "dockerd.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            _command(places),
            env={**os.environ, "PATH": system_path(), "DOCKER_HOST": ""},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    record = Record(process.pid, _start_time(process.pid) or "", machine.boot_id())
    places.docker_record.write_text(json.dumps(asdict(record)))
    docker = Docker(f"unix://{places.docker_socket}", private=True)
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if places.docker_socket.exists() and _answers(docker):
            _empty(docker)  # containers of a run that ended without `down`
            return docker
        time.sleep(0.1)
    raise Failure(
        f"the private Docker daemon did not start:\n{tail(log.read_text(errors='replace'))}",
        f"see {log}; `hack/cluster down` takes back what it did",
    )


def _command(places: Places) -> list[str]:
    command = [
        *("dockerd", "--host", f"unix://{places.docker_socket}"),
        *("--data-root", str(places.docker_data), "--exec-root", str(places.docker_exec)),
        *("--pidfile", str(places.state / "docker.pid")),
        *(
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            "--cgroup-parent",
            f"/{places.cgroup_parent}",
        ),
    ]
    if runtime_wrapper.is_missing():
        command += ["--add-runtime", f"wrapped={_wrapper(places)}", "--default-runtime", "wrapped"]
    return command


def _wrapper(places: Places) -> Path:
    """An executable that runs our wrapper with this very Python (no start-up files, no site
    packages: 20 ms). The daemon outlives the checkout that started it, so the wrapper is copied."""
    path, module = places.state / "runc-wrapper", places.state / "runtime_wrapper.py"
    module.write_text(Path(runtime_wrapper.__file__).read_text())
    python = os.path.realpath(sys.executable)
    path.write_text(f'#!/bin/sh\nexec {shlex.quote(python)} -IS {shlex.quote(str(module))} "$@"\n')
    path.chmod(0o755)
    return path


def _empty(docker: Docker) -> None:
    """Remove every container, volume and network: all in a private daemon is ours."""
    containers = lines_of(["docker", "ps", "--all", "--quiet"], environment=docker.environment)
    if containers:
        docker.ask("rm", "--force", "--volumes", *containers)
    docker.ask("volume", "prune", "--force")
    docker.ask("network", "prune", "--force")


def _end(pid: int) -> None:
    for number, seconds in ((signal.SIGTERM, STOP_SECONDS_MAX), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if _start_time(pid) is None:
                return
            time.sleep(0.05)


def _end_leftovers(places: Places) -> None:
    """End what a killed daemon left running.

    Its children (containerd, shims) have our folder on their command line; the containers'
    processes are in our control group, where nobody else puts any.
    """
    mark = str(places.docker_exec)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            program = Path(words[0]).name
            if program.startswith(("containerd", "docker")) and any(mark in w for w in words):
                _end(int(entry.name))
    for pid in machine.group_members(places.cgroup_parent):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _forget_dead_containerd(places: Places) -> None:
    """dockerd waits for the containerd of its last run, even for one that is only a zombie."""
    path = places.docker_exec / "containerd" / "containerd.pid"
    if path.exists() and _start_time(int(path.read_text() or 0)) is None:
        path.unlink()
