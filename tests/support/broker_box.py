"""A devbox on this machine: the real API server, broker, launcher and a scripted agent.

`Box` is one devbox with one mount. Its broker and launcher can be killed and started again as the
kubelet would. Waits look at the axon and are bounded by one limit.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from axon_client import FACT_SECONDS_MAX, AxonClient

API_KEY = "key-0123456789abcdef"
OPERATOR = "operator-token-0123456789"
AGENT = Path(__file__).with_name("scripted_acp_agent.py")


def peak_mib(process: int) -> float:
    """The most memory that a process ever had (VmHWM of proc(5))."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


class Server:
    """The API server as a process, on a folder that outlives it."""

    def __init__(self, folder: Path, *flags: str, port: int = 0) -> None:
        self.folder = folder
        self.flags = flags
        self.port = port
        (folder / "keys").write_text(f"{API_KEY}\n")
        self.identities = {OPERATOR: {"role": "operator"}}
        self._write_identities()
        self.start()

    def start(self) -> None:
        path = self.folder / "server.log"
        identities, keys = self.folder / "identities.json", self.folder / "keys"
        command = [sys.executable, "-m", "ranvier_apiserver", "--identities", "static"]
        command += ["--static-identities-file", str(identities), "--api-keys-file", str(keys)]
        command += ["--port", str(self.port), "--data", str(self.folder / "data"), *self.flags]
        with path.open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log)
        deadline = time.monotonic() + FACT_SECONDS_MAX
        while b'"listening"' not in (told := path.read_bytes()):
            assert time.monotonic() < deadline, told.decode()
            assert self.process.poll() is None, told.decode()
            time.sleep(0.02)
        [line] = [line for line in told.splitlines() if b'"listening"' in line]
        self.port = json.loads(line)["port"]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def add_broker(self, devbox_uid: str) -> str:
        token = f"broker-{devbox_uid}"
        self.identities[token] = {"role": "broker", "devbox_uid": devbox_uid}
        self._write_identities()
        return token

    def _write_identities(self) -> None:
        draft = self.folder / "identities.draft"
        draft.write_text(json.dumps(self.identities))
        draft.replace(self.folder / "identities.json")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@dataclass
class Box(AxonClient):
    """One devbox; what is published and seen is the first mount's axon.

    Without a mount the axon stands apart, and there is no agent.
    """

    server: Server
    folder: Path
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    protocol: str = "acp"
    agent: Sequence[str] = (sys.executable, str(AGENT))
    environment: dict[str, str] = field(default_factory=dict)
    inherited: Mapping[str, str] = field(default_factory=lambda: os.environ)
    shell: str = "/bin/sh"
    generation: int = 1
    ready_port: int = 0
    has_mount: bool = True
    api_url: str = ""
    """What the broker is told, where it is not the server's own address."""
    more_axons: list[str] = field(default_factory=list)
    others: dict[str, tuple[str, Sequence[str]]] = field(default_factory=dict)
    """Protocol and agent by axon, where they are not the first mount's."""
    deadlines: dict[str, int] = field(default_factory=dict)
    """`…_seconds` of every mount, where they are not the broker's own."""
    broker: subprocess.Popen[bytes] | None = None
    launcher: subprocess.Popen[bytes] | None = None

    async def __aenter__(self) -> Self:
        for name in ("io", "bin", "home"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "token").write_text(self.server.add_broker(self.uid))
        self.url, self.api_key = self.server.url, API_KEY
        self.work_folder = str(self.folder / "home")
        self._connect()
        binding = {"namespace": "test", "name": "axon"}
        answer = await self.as_operator("PUT", f"axons/{self.uid}-axon", binding)
        self.axon_id = answer["axon_id"]
        await self.bind()
        self._follow()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()
        self.stop_broker()
        self.stop_launcher()
        for process in self.agents():  # a launcher that was killed left them behind
            os.kill(process, signal.SIGKILL)

    async def bind(self) -> Any:
        mounts = [
            {"index": index, "axon_id": axon, "protocol": protocol}
            for index, axon, protocol, _ in self._mounts()
        ]
        binding = {"namespace": "test", "name": "box", "mounts": mounts}
        return await self.as_operator("PUT", f"devboxes/{self.uid}", binding)

    def _mounts(self) -> Iterator[tuple[int, str, str, Sequence[str]]]:
        mounted = (self.axon_id, *self.more_axons) if self.has_mount else ()
        for index, axon in enumerate(mounted):
            yield index, axon, *self.others.get(axon, (self.protocol, self.agent))

    async def mount(self, protocol: str, agent: Sequence[str]) -> str:
        """One more mount, with an axon and an agent of its own; return the axon. Before `start`."""
        name = f"axon-{len(self.more_axons) + 1}"
        binding = {"namespace": "test", "name": name}
        answer = await self.as_operator("PUT", f"axons/{self.uid}-{name}", binding)
        axon_id: str = answer["axon_id"]
        self.more_axons.append(axon_id)
        self.others[axon_id] = (protocol, agent)
        await self.bind()
        return axon_id

    # --- processes

    def start(self) -> None:
        self.start_broker()
        self.start_launcher()

    def start_broker(self) -> None:
        mounts = [
            {
                "index": index,
                "axon_id": axon_id,
                "protocol": protocol,
                "agent_binary": agent[0],
                "launch_args": list(agent[1:]),
                "working_directory": "work",
                **self.deadlines,
            }
            for index, axon_id, protocol, agent in self._mounts()
        ]
        own = {
            "RANVIER_API_URL": self.api_url or self.server.url,
            "RANVIER_DEVBOX_UID": self.uid,
            "RANVIER_DEVBOX_NAME": "box",
            "RANVIER_NAMESPACE": "test",
            "RANVIER_GENERATION": str(self.generation),
            "RANVIER_POD_UID": "pod",
            "RANVIER_TOKEN_FILE": str(self.folder / "token"),
            "RANVIER_IO_DIR": str(self.folder / "io"),
            "RANVIER_BIN_DIR": str(self.folder / "bin"),
            "RANVIER_EXECUTIONS_DIR": str(self.folder / "executions"),
            "RANVIER_HOME": str(self.folder / "home"),
            "RANVIER_READY_PORT": str(self.ready_port),
            "RANVIER_MOUNTS": json.dumps(mounts),
        }
        log = (self.folder / "broker.log").open("ab")
        command = [sys.executable, "-m", "ranvier_broker"]
        self.broker = subprocess.Popen(command, env={**os.environ, **own}, stderr=log)
        log.close()

    def start_launcher(self) -> None:
        """As the devbox container's command does."""
        script = (
            'until [ -f "$1/bin/launcher.sh" ]; do sleep 0.05 || sleep 1; done; '
            'exec "$0" "$1/bin/launcher.sh" "$1/io"'
        )
        self.launcher = subprocess.Popen(
            [self.shell, "-c", script, self.shell, str(self.folder)],
            env={**self.inherited, "RANVIER_SHELL": self.shell, **self.environment},
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def stop_broker(self, *, by: signal.Signals = signal.SIGTERM) -> int:
        return _end(self.broker, by)

    def stop_launcher(self, *, by: signal.Signals = signal.SIGTERM) -> int:
        if by is signal.SIGKILL and self.launcher is not None:
            os.killpg(self.launcher.pid, by)  # nothing of a container outlives its first process
        return _end(self.launcher, by)

    def agents(self) -> list[int]:
        """Processes of the scripted agent that work in this box's home."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                cwd = (folder / "cwd").readlink()
            except OSError:
                continue
            if cwd.is_relative_to(self.folder / "home"):
                found.append(int(folder.name))
        return found

    @property
    def log(self) -> str:
        """The broker's."""
        return (self.folder / "broker.log").read_text()

    # --- the apiserver's operator

    async def as_operator(self, verb: str, path: str, body: Any) -> Any:
        headers = {"authorization": f"Bearer {OPERATOR}"}
        url = f"/internal/v1/{path}"
        answer = await self.http.request(verb, url, json=body, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def fall_asleep(self) -> None:
        """Suspended by force; the pod is gone with all its processes, the home stays."""
        request = {"generation": self.generation, "idle_seconds": 0, "force": True}
        answer = await self.as_operator("POST", f"devboxes/{self.uid}/sleep", request)
        assert answer["granted"], answer
        self.generation = answer["generation"]
        self.stop_broker()
        self.stop_launcher()
        deadline = time.monotonic() + self.seconds_max
        while left := self.agents():  # on a busy machine an agent's children take a moment to die
            assert time.monotonic() < deadline, f"processes that nobody ended: {left}"
            await asyncio.sleep(0.05)


def _end(process: subprocess.Popen[bytes] | None, by: signal.Signals) -> int:
    if process is None:
        return 0
    if process.poll() is None:
        process.send_signal(by)
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
