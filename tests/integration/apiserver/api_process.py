"""A real API server process on loopback, and what tests ask of it."""

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import httpx
from preloaded import Loaded
from ranvier.sse import SseParser

KEY = "key-of-a-person-0123456789"
READER = "key-of-a-reader-0123456789"
OPERATOR = "token-of-the-operator"

READY_SECONDS = 60


class Process(Protocol):
    """What this module needs of a process."""

    @property
    def stderr(self) -> IO[bytes] | None: ...
    def send_signal(self, sig: int, /) -> None: ...
    def wait(self, timeout: float, /) -> int: ...
    def poll(self) -> int | None: ...


class ApiServer:
    """One process at a time; `start` again after `kill` opens the same journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.flags: tuple[str, ...] = ()
        self.environment = dict(os.environ)
        self.port = 0
        self.logs: list[dict[str, Any]] = []
        self.identities: dict[str, dict[str, str]] = {OPERATOR: {"role": "operator"}}
        self.process: Process | None = None
        (folder / "keys").write_text(f"{KEY}\n{READER} axons:read\n")
        self.admit()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def admit(self, **devbox_uids: str) -> None:
        """Let brokers in: token → devbox. A running process reads the file again."""
        for token, uid in devbox_uids.items():
            self.identities[token] = {"role": "broker", "devbox_uid": uid}
        new = self.folder / "identities.new"
        new.write_text(json.dumps(self.identities))
        new.rename(self.folder / "identities.json")

    def start(self) -> None:
        arguments = ["--identities", "static", "--data", str(self.folder / "data")]
        arguments += ["--host", "127.0.0.1", "--port", str(self.port)]
        arguments += ["--api-keys-file", str(self.folder / "keys")]
        arguments += ["--static-identities-file", str(self.folder / "identities.json")]
        self.process = self._spawn([*arguments, *self.flags])
        self.logs = []
        threading.Thread(target=self._read_logs, args=(self.process,), daemon=True).start()
        self.port = self._until(lambda: self.said("listening"))[0]["port"]

    def _spawn(self, arguments: list[str]) -> Process:
        command = [sys.executable, "-m", "ranvier_apiserver", *arguments]
        return subprocess.Popen(command, stderr=subprocess.PIPE, env=self.environment)

    def said(self, message: str) -> list[dict[str, Any]]:
        return [line for line in self.logs if line["message"] == message]

    async def log(self, message: str, **fields: Any) -> dict[str, Any]:
        """The first line that says this, as soon as it is said."""

        def found() -> list[dict[str, Any]]:
            return [li for li in self.said(message) if li.items() >= fields.items()]

        return (await asyncio.to_thread(self._until, found))[0]

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(READY_SECONDS)

    def kill(self) -> None:
        self.stop(signal.SIGKILL)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def client(self, token: str = KEY) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=READY_SECONDS)

    def _read_logs(self, process: Process) -> None:
        assert process.stderr is not None
        with process.stderr:
            for line in process.stderr:
                self.logs.append(json.loads(line))

    def _until(self, fact: Callable[[], list[dict[str, Any]]]) -> list[dict[str, Any]]:
        deadline = time.monotonic() + READY_SECONDS
        while not (found := fact()):
            assert self.process is not None
            assert self.process.poll() is None, self.logs
            assert time.monotonic() < deadline, self.logs
            time.sleep(0.005)
        return found


class PreloadedApiServer(ApiServer):
    """One that starts in milliseconds."""

    def __init__(self, folder: Path, loaded: Loaded) -> None:
        super().__init__(folder)
        self._loaded = loaded
        self.commit_delay = 0.0
        """Of the next process, in seconds; `preloaded` says what for."""

    def _spawn(self, arguments: list[str]) -> Process:
        log = self.folder / "log"
        log.unlink(missing_ok=True)
        os.mkfifo(log)
        return Forked(self._loaded.start(arguments, str(log), self.commit_delay), log)


def running(
    folder: Path, flags: Sequence[str] = (), loaded: Loaded | None = None
) -> Iterator[ApiServer]:
    """One that was started, until the fixture that yields it ends."""
    subject = ApiServer(folder) if loaded is None else PreloadedApiServer(folder, loaded)
    subject.flags = tuple(flags)
    subject.start()
    try:
        yield subject
    finally:
        subject.close()


class Forked:
    """A process that is nobody's child here. Until its log is opened it waits for that."""

    def __init__(self, number: int, log: Path) -> None:
        self._handle = os.pidfd_open(number)
        self._has_ended = False
        self.stderr: IO[bytes] | None = open(log, "rb")  # noqa: SIM115 - the reader closes it

    def send_signal(self, sig: int, /) -> None:
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, sig)

    def wait(self, timeout: float, /) -> int:
        """0, whatever the process said."""
        if not self._has_ended:
            ended, _, _ = select.select([self._handle], [], [], timeout)
            if not ended:
                raise subprocess.TimeoutExpired("ranvier-apiserver", timeout)
            os.close(self._handle)
            self._has_ended = True
        return 0

    def poll(self) -> int | None:
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None


@dataclass(frozen=True)
class Box:
    """A devbox of one test: the operator that declares it, and its broker."""

    uid: str
    operator: httpx.AsyncClient
    broker: httpx.AsyncClient

    async def bind(self, axon_id: str, uid: str = "", **fields: Any) -> Any:
        mounts = [{"index": 0, "axon_id": axon_id, "protocol": "acp"}]
        body = {"namespace": "ns", "name": "box", "mounts": mounts, **fields}
        answer = await self.operator.put(f"/internal/v1/devboxes/{uid or self.uid}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def view(self) -> Any:
        found = (await self.operator.get("/internal/v1/devboxes")).json()["devboxes"]
        (view,) = [view for view in found if view["uid"] == self.uid]
        return view

    async def sleep(self, generation: int, **fields: Any) -> Any:
        body = {"generation": generation, "idle_seconds": 0, **fields}
        url = f"/internal/v1/devboxes/{self.uid}/sleep"
        answer = await self.operator.post(url, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def attach(self, generation: int = 1) -> httpx.Response:
        url = f"/internal/v1/devboxes/{self.uid}/mounts/0/attach"
        return await self.broker.post(url, json={"generation": generation})

    async def append(self, **fields: Any) -> httpx.Response:
        url = f"/internal/v1/devboxes/{self.uid}/mounts/0/append"
        return await self.broker.post(url, json={"epoch": 1, "batch": 1, **fields})


@asynccontextmanager
async def box_on(server: ApiServer) -> AsyncIterator[Box]:
    uid = f"uid-{uuid.uuid4().hex}"
    token = f"token-of-{uid}"
    server.admit(**{token: uid})
    async with server.client(OPERATOR) as operator, server.client(token) as broker:
        yield Box(uid, operator, broker)


async def create(api: httpx.AsyncClient, **fields: Any) -> str:
    answer = await api.post("/v1/axons", json=fields)
    assert answer.status_code == 200, answer.text
    axon_id: str = answer.json()["id"]
    return axon_id


async def publish(
    api: httpx.AsyncClient,
    axon_id: str,
    payload: str = "{}",
    origin: str = "USER_EVENT",
    event_type: str = "user.message",
    headers: dict[str, str] | None = None,
) -> httpx.Response:
    body = {"event_type": event_type, "origin": origin, "payload": payload, "source": "test"}
    return await api.post(f"/v1/axons/{axon_id}/publish", json=body, headers=headers)


async def read(
    api: httpx.AsyncClient, axon_id: str, count: int, **params: Any
) -> list[dict[str, Any]]:
    """The first events of a stream, which is closed then."""
    events: list[dict[str, Any]] = []
    parser = SseParser()
    url = f"/v1/axons/{axon_id}/subscribe/sse"
    async with asyncio.timeout(READY_SECONDS), api.stream("GET", url, params=params) as answer:
        assert answer.status_code == 200, await answer.aread()
        async for chunk in answer.aiter_bytes():
            events += [json.loads(event.data) for event in parser.feed(chunk)]
            if len(events) >= count:
                break
    return events[:count]
