"""Many subscribers that only wait, some that do not read, and a stop while all of them are there.

`RANVIER_SOAK=1` has 10,000 idle ones in place of 500.
"""

import asyncio
import itertools
import json
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
from api_process import KEY, ApiServer, create, publish, read
from ranvier_apiserver import connections, serving, stalled
from ranvier_apiserver.app import create_app
from ranvier_apiserver.auth import Authenticator, read_keys
from ranvier_apiserver.identities import StaticIdentities
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.routes.context import Context
from ranvier_apiserver.tail import Tails

IDLE = 10_000 if os.environ.get("RANVIER_SOAK") == "1" else 500
AXONS = 50
OPENING = 100
"""Connections that are made at once."""

IDLE_BYTES_MAX = 48 * 1024
"""What the server keeps of one subscriber that waits, its socket in the kernel left out."""

FACT_SECONDS = 60
STOP_SECONDS = 10
MIB = 1024 * 1024


@dataclass
class Subscriber:
    """A plain socket that asked for a stream."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def event(self) -> Any:
        async with asyncio.timeout(FACT_SECONDS):
            while not (line := await self.reader.readline()).startswith(b"data: "):
                assert line, "the stream ended"
        return json.loads(line.removeprefix(b"data: "))

    async def rest(self) -> bytes:
        async with asyncio.timeout(FACT_SECONDS):
            return await self.reader.read()


async def subscribe(port: int, axon_id: str) -> Subscriber:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    path = f"/v1/axons/{axon_id}/subscribe/sse"
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n".encode())
    async with asyncio.timeout(FACT_SECONDS):
        head = await reader.readuntil(b": open\n\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    return Subscriber(reader, writer)


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize()


@pytest.fixture
def many_files() -> None:
    connections.allow_many_connections()
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < IDLE + 200:
        pytest.skip(f"this machine allows too few open files for {IDLE} connections")


async def test_idle_subscribers_cost_little_and_hear_what_comes(
    server: ApiServer, many_files: None
) -> None:
    assert server.process is not None
    async with server.client() as api, AsyncExitStack() as streams:
        axons = [await create(api) for _ in range(AXONS)]
        before = resident_bytes(server.process.pid)
        idle: list[Subscriber] = []
        while len(idle) < IDLE:
            some = [subscribe(server.port, axons[n % AXONS]) for n in range(OPENING)]
            idle += await asyncio.gather(*some)
        for subscriber in idle:
            streams.callback(subscriber.writer.close)
        each = (resident_bytes(server.process.pid) - before) / IDLE
        assert each < IDLE_BYTES_MAX, f"{each:.0f} bytes a subscriber"

        # One axon of many: its subscribers hear it, and publishing feels nothing of the others.
        began = time.perf_counter()
        for _ in range(20):
            assert (await publish(api, axons[0])).status_code == 200
        seconds = time.perf_counter() - began
        assert seconds < 5, f"{seconds:.1f} s for 20 publishes beside {IDLE} idle subscribers"
        for subscriber in idle[::AXONS]:
            assert [(await subscriber.event())["sequence"] for _ in range(20)] == [*range(1, 21)]
        # And all of them at once.
        for axon_id in axons[1:]:
            await publish(api, axon_id)
        for number, subscriber in enumerate(idle):
            if number % AXONS:
                assert (await subscriber.event())["sequence"] == 1


async def test_a_stop_ends_parked_subscribers_cleanly(server: ApiServer) -> None:
    """Their streams end as whole answers, and what they saw is there after the next start."""
    async with server.client() as api:
        axon_id = await create(api)
        parked = [await subscribe(server.port, axon_id) for _ in range(100)]
        await publish(api, axon_id)
        for subscriber in parked:
            assert (await subscriber.event())["sequence"] == 1
        began = time.monotonic()
        assert await asyncio.to_thread(server.stop) == 0
        assert time.monotonic() - began < STOP_SECONDS
        for subscriber in parked:
            assert (await subscriber.rest()).endswith(b"0\r\n\r\n"), "the answer is complete"
            subscriber.writer.close()
    server.start()
    async with server.client() as api:
        assert [event["sequence"] for event in await read(api, axon_id, 1)] == [1]


@dataclass
class Inside:
    """An API server in this process, so that a limit of minutes can be one of milliseconds."""

    port: int
    tails: Tails
    api: httpx.AsyncClient
    stop: Callable[[], None]

    async def until_followed_by(self, count: int) -> None:
        async with asyncio.timeout(FACT_SECONDS):
            for wait in itertools.repeat(0.01):
                if self.tails.followers == count:
                    return
                await asyncio.sleep(wait)


@pytest.fixture
async def inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Inside]:
    monkeypatch.setattr(stalled, "STALLED_SECONDS", 0.5)
    (tmp_path / "keys").write_text(KEY)
    async with serving_of(tmp_path) as inside:
        yield inside


@asynccontextmanager
async def serving_of(folder: Path) -> AsyncIterator[Inside]:
    store, tails = await EngineStore.open(lambda: SqliteEngine(folder), lambda: 1_000), Tails()
    store.listen(tails.committed)
    callers = Authenticator(read_keys(folder / "keys"), StaticIdentities(None))
    app = create_app(Context(store, tails, None, callers, None))  # type: ignore[arg-type]
    server = serving.server_for(app, tails.close)
    listener = serving.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    headers = {"authorization": f"Bearer {KEY}"}
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as api:
            yield Inside(port, tails, api, server.stop)
        server.stop()
    await store.close()


def small_buffers(port: int) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16 * 1024)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    return connection


async def test_a_stop_answers_reads_that_wait(inside: Inside) -> None:
    axon_id = await create(inside.api)
    url, params = f"/v1/axons/{axon_id}/events", {"after_sequence": 0, "wait": 25}
    async with asyncio.timeout(STOP_SECONDS), asyncio.TaskGroup() as group:
        waits = [group.create_task(inside.api.get(url, params=params)) for _ in range(20)]
        await inside.until_followed_by(20)
        inside.stop()
    for wait in waits:
        assert (wait.result().status_code, wait.result().json()["events"]) == (200, [])


async def test_one_that_goes_with_another_request_behind_its_stream_is_noticed(
    inside: Inside,
) -> None:
    """While a request waits for its turn nothing is read, so only a write finds out."""
    axon_id = await create(inside.api)
    subscriber = await subscribe(inside.port, axon_id)
    subscriber.writer.write(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
    await inside.until_followed_by(1)
    await publish(inside.api, axon_id, "it")
    await subscriber.event()
    subscriber.writer.close()
    async with asyncio.timeout(FACT_SECONDS):
        while inside.tails.followers:
            await publish(inside.api, axon_id, "it")
            await asyncio.sleep(0.01)


async def test_one_that_does_not_read_is_dropped_and_can_come_back(inside: Inside) -> None:
    api, tails = inside.api, inside.tails
    axon_id = await create(api)
    connection = small_buffers(inside.port)
    loop = asyncio.get_running_loop()
    path = f"/v1/axons/{axon_id}/subscribe/sse"
    request = f"GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n\r\n"
    await loop.sock_sendall(connection, request.encode())

    # Far more than the sockets between us hold, and somebody who reads gets all of it.
    good = asyncio.create_task(read(api, axon_id, 20))
    for _ in range(20):
        await publish(api, axon_id, "x" * MIB)
    assert [event["sequence"] for event in await good] == list(range(1, 21))
    await inside.until_followed_by(0)
    assert tails.dropped == 1

    seen = b""
    try:
        while chunk := await loop.sock_recv(connection, 64 * 1024):
            seen += chunk
    except ConnectionResetError:
        pass
    connection.close()
    assert not seen.endswith(b"0\r\n\r\n"), "nobody takes this for the end"
    whole = seen.count(b"\n\ndata: ") - 1
    assert whole < 20
    rest = await read(api, axon_id, 20 - max(whole, 0), after_sequence=max(whole, 0))
    assert rest[-1]["sequence"] == 20


async def test_on_http_2_its_stream_alone_is_dropped(inside: Inside) -> None:
    """A stream whose window is full is reset; the connection and its other requests live on."""
    api = inside.api
    axon_id = await create(api)
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    head = [(":method", "GET"), (":scheme", "http"), (":authority", "x")]
    key = ("authorization", f"Bearer {KEY}")
    client.send_headers(
        1, [*head, (":path", f"/v1/axons/{axon_id}/subscribe/sse"), key], end_stream=True
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", inside.port)
    writer.write(client.data_to_send())
    await publish(api, axon_id, "x" * MIB)
    answered = False
    async with asyncio.timeout(FACT_SECONDS):
        while not answered:
            for event in client.receive_data(await reader.read(65536)):
                if isinstance(event, h2.events.StreamReset):
                    client.send_headers(3, [*head, (":path", "/v1/axons"), key], end_stream=True)
                answered |= isinstance(event, h2.events.ResponseReceived) and event.stream_id == 3
            # The window of stream 1 is never opened again.
            writer.write(client.data_to_send())
    assert inside.tails.dropped == 1
    writer.close()
