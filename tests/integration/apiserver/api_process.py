"""A real API server process on loopback, and what tests ask of it."""

import asyncio
import json
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from ranvier.sse import SseParser

KEY = "key-of-a-person-0123456789"
READER = "key-of-a-reader-0123456789"
OPERATOR = "token-of-the-operator"
BROKER = "token-of-broker-u1"
STRANGER = "token-of-broker-u2"

READY_SECONDS = 20


@dataclass
class ApiServer:
    """One process at a time; `start` again after `kill` opens the same journal."""

    folder: Path
    flags: tuple[str, ...] = ()
    port: int = 0
    logs: list[dict[str, Any]] = field(default_factory=list)
    process: asyncio.subprocess.Process | None = None
    reading: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def write_files(self) -> None:
        """Who may call it."""
        (self.folder / "keys").write_text(f"{KEY}\n{READER} axons:read\n")
        identities = {
            OPERATOR: {"role": "operator"},
            BROKER: {"role": "broker", "devbox_uid": "u1"},
            STRANGER: {"role": "broker", "devbox_uid": "u2"},
        }
        (self.folder / "identities.json").write_text(json.dumps(identities))

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "ranvier_apiserver",
            *("--data", str(self.folder / "data"), "--host", "127.0.0.1"),
            *("--port", str(self.port), "--identities", "static"),
            *("--api-keys-file", str(self.folder / "keys")),
            *("--static-identities-file", str(self.folder / "identities.json")),
            *self.flags,
            stderr=asyncio.subprocess.PIPE,
            limit=1024 * 1024,
        )
        self.logs.clear()
        self.reading = asyncio.ensure_future(self._read_logs(self.process))
        self.port = (await self.log("listening"))["port"]

    async def _read_logs(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            self.logs.append(json.loads(line))

    async def log(self, message: str, count: int = 1) -> dict[str, Any]:
        """The newest line that says this, once it was said so often."""
        async with asyncio.timeout(READY_SECONDS):
            while len(said := [li for li in self.logs if li["message"] == message]) < count:
                assert self.reading is not None
                assert not self.reading.done(), self.logs
                await asyncio.sleep(0.005)
        return said[-1]

    async def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        assert self.reading is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        code = await asyncio.wait_for(self.process.wait(), READY_SECONDS)
        await self.reading
        return code

    async def kill(self) -> None:
        await self.stop(signal.SIGKILL)

    def client(self, token: str = KEY) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {token}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=READY_SECONDS)


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


async def bind(operator: httpx.AsyncClient, axon_id: str, uid: str = "u1", **fields: Any) -> Any:
    mounts = [{"index": 0, "axon_id": axon_id, "protocol": "acp"}]
    body = {"namespace": "ns", "name": "box", "mounts": mounts, **fields}
    answer = await operator.put(f"/internal/v1/devboxes/{uid}", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()
