"""One port speaks HTTP/1.1 and h2c, which the published TypeScript client insists on (section 1.4).

A small application behind the real server shows what the protocols do with bodies, back-pressure
and clients that go away; the API server itself is asked in both at the end.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import h2.connection
import h2.errors
import h2.events
import httpx
import pytest
from api_process import KEY, ApiServer, create, publish, read
from ranvier_apiserver import connections, http1, serving, stalled

VERSIONS = pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
LARGE = 3 * 1024 * 1024


class App:
    """Echoes bodies, streams without end, refuses unread, fails."""

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.stopping = asyncio.Event()
        self.sent = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await getattr(self, scope["path"].strip("/"))(scope, receive, send)

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive()).get("more_body"):
            body += message["body"]
        body += message["body"]
        headers = [
            (b"x-method", scope["method"].encode()),
            (b"x-query", scope["query_string"]),
            (b"x-host", dict(scope["headers"])[b"host"]),
            (b"x-version", scope["http_version"].encode()),
            (b"connection", b"keep-alive"),
        ]
        await send({"type": "http.response.start", "status": 201, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def refuse(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 413, "headers": []})
        await send({"type": "http.response.body", "body": b"too large"})

    async def fail(self, scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    async def stream(self, scope: Any, receive: Any, send: Any) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._watch(receive))
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"open", "more_body": True})
            await self.stopping.wait()
            watching.cancel()
            await send({"type": "http.response.body", "body": b"end"})

    async def _watch(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone.set()
        self.stopping.set()

    async def flood(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1000):
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            self.sent += 1
        await send({"type": "http.response.body", "body": b""})


@asynccontextmanager
async def serving_app(app: App) -> AsyncIterator[tuple[str, serving.QuietServer]]:
    server = serving.server_for(app, app.stopping.set)
    listener = serving.listen("127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", server
        server.should_exit = True
        async with asyncio.timeout(serving.GRACE_SECONDS):
            await running


def client(url: str, version: str) -> httpx.AsyncClient:
    is_2 = version == "HTTP/2"
    # On http:// this speaks HTTP/2 with prior knowledge: h2c.
    headers = {"authorization": f"Bearer {KEY}"}
    return httpx.AsyncClient(base_url=url, http1=not is_2, http2=is_2, timeout=10, headers=headers)


@VERSIONS
async def test_requests_and_bodies_pass_through(version: str) -> None:
    async with serving_app(App()) as (url, _), client(url, version) as http:
        for body in (b"", b"small", os.urandom(LARGE)):
            answer = await http.post("/echo?a=b%20c", content=body)
            assert answer.http_version == version
            assert (answer.status_code, answer.content) == (201, body)
            assert answer.headers["x-method"] == "POST"
            assert answer.headers["x-query"] == "a=b%20c"
            assert answer.headers["x-host"] in url
            assert answer.headers["x-version"] in version


@VERSIONS
async def test_an_early_refusal_leaves_the_connection_usable(version: str) -> None:
    async with serving_app(App()) as (url, _), client(url, version) as http:
        for size in (0, 30_000, LARGE):
            assert (await http.post("/refuse", content=b"x" * size)).status_code == 413
        assert (await http.post("/echo", content=b"x" * LARGE)).content == b"x" * LARGE


async def test_many_requests_share_one_http2_connection() -> None:
    async with serving_app(App()) as (url, server), client(url, "HTTP/2") as http:
        async with asyncio.TaskGroup() as group:
            asked = [group.create_task(http.post("/echo", content=b"%d" % i)) for i in range(100)]
        assert [task.result().content for task in asked] == [b"%d" % i for i in range(100)]
        assert len(server.server_state.connections) == 1


async def test_a_reader_that_goes_away_is_noticed() -> None:
    app = App()
    async with serving_app(app) as (url, _), client(url, "HTTP/1.1") as http:
        async with http.stream("GET", "/stream") as answer:
            assert await anext(answer.aiter_bytes()) == b"open"
            assert not app.gone.is_set()
        async with asyncio.timeout(5):
            await app.gone.wait()


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_a_stream_that_is_reset_is_noticed(how: str) -> None:
    """As Node's client ends one of many streams; httpx closes the whole connection or nothing."""
    app = App()
    async with serving_app(app) as (url, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        pseudo = {":method": "GET", ":path": "/stream", ":scheme": "http", ":authority": "x"}
        connection.send_headers(1, list(pseudo.items()), end_stream=True)
        writer.write(connection.data_to_send())
        seen: list[h2.events.Event] = []
        while not any(isinstance(event, h2.events.DataReceived) for event in seen):
            seen += connection.receive_data(await reader.read(65536))
        assert not app.gone.is_set()
        if how == "reset":
            connection.reset_stream(1, h2.errors.ErrorCodes.CANCEL)
            writer.write(connection.data_to_send())
        else:
            writer.close()
        async with asyncio.timeout(5):
            await app.gone.wait()
        writer.close()


@VERSIONS
async def test_a_slow_reader_holds_the_application_back(version: str) -> None:
    app = App()
    async with serving_app(app) as (url, _), client(url, version) as http:
        async with http.stream("GET", "/flood") as answer:
            chunks = answer.aiter_bytes()
            await anext(chunks)
            sent = -1
            while sent != app.sent:
                sent = app.sent
                await asyncio.sleep(0.05)
            assert sent < 500
            size = 0
            async for chunk in chunks:
                size += len(chunk)
        assert app.sent == 1000


@VERSIONS
async def test_a_failing_application_fails_its_request_alone(version: str) -> None:
    async with serving_app(App()) as (url, _), client(url, version) as http:
        if version == "HTTP/2":
            with pytest.raises(httpx.RemoteProtocolError):
                await http.get("/fail")
        else:
            assert (await http.get("/fail")).status_code == 500
        assert (await http.post("/echo", content=b"on")).content == b"on"


@VERSIONS
async def test_a_stop_ends_streams_cleanly_and_in_time(version: str) -> None:
    async with (
        serving_app(App()) as (url, server),
        client(url, version) as http,
        http.stream("GET", "/stream") as answer,
    ):
        chunks = answer.aiter_bytes()
        assert await anext(chunks) == b"open"
        server.should_exit = True
        assert [chunk async for chunk in chunks] == [b"end"]


async def test_the_preface_may_come_in_pieces_and_nonsense_is_refused() -> None:
    async with serving_app(App()) as (url, _):
        port = int(url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in connections.PREFACE:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write(b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
        # A SETTINGS frame is what a server says first.
        assert (await reader.readexactly(9))[3] == 4
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PRI * HTTP/9.9\r\n\r\n")
        assert b"400" in await reader.readline()
        writer.close()


@pytest.mark.parametrize("begun", [b"", b"G", b"GET / HTTP/1.1\r\nhost", b"PRI * HT"])
async def test_a_request_that_does_not_get_on_is_cut_off(
    begun: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving_app(App()) as (url, _):
        with monkeypatch.context() as hurried:
            hurried.setattr(connections, "FIRST_BYTES_SECONDS", 0.1)
            hurried.setattr(http1, "HEAD_SECONDS", 0.1)
            reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
            writer.write(begun)
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
        # On a busy machine an honest client takes longer than that to say its first word.
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.post("/echo", content=b"x")).status_code == 201


async def test_there_are_so_many_connections_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 3)
    async with serving_app(App()) as (url, _):
        port = int(url.rpartition(":")[2])
        first = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        async with httpx.AsyncClient(base_url=url) as client:
            # Connections are accepted in their order, so this one is the fourth.
            answer = await client.post("/echo")
            assert (answer.status_code, answer.json()["code"]) == (503, "too_busy")
            assert int(answer.headers["retry-after-ms"]) == 1000
        for _, writer in first:
            writer.close()
            await writer.wait_closed()
        async with asyncio.timeout(10), httpx.AsyncClient(base_url=url) as client:
            while (await client.post("/echo")).status_code == 503:
                pass


def test_a_peer_that_is_gone_is_given_up() -> None:
    """By the kernel, which knows that nothing is acknowledged; connections inherit it."""
    with (
        contextlib.closing(serving.listen("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()),
    ):
        connection, _ = listener.accept()
        with connection:
            limit = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert limit == stalled.DEAD_SECONDS * 1000


def test_connections_leave_files_for_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections.resource, "getrlimit", lambda _: (1024, 1024))
    assert connections.connections_max() == 1024 - connections.RESERVED_FILES


@VERSIONS
async def test_the_api_server_speaks_both(shared: ApiServer, version: str) -> None:
    async with client(shared.url, version) as http, client(shared.url, version) as reading:
        axon = await create(http)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(read(reading, axon, 3))
            for number in range(3):
                answer = await publish(http, axon, "x" * 100_000)
                assert answer.json()["sequence"] == number + 1
        assert [event["sequence"] for event in reader.result()] == [1, 2, 3]
        too_large = await http.post(f"/v1/axons/{axon}/publish", content=b"x" * 26_000_000)
        assert too_large.status_code == 413
        assert (await publish(http, axon)).http_version == version


async def test_many_streams_share_one_http2_connection(shared: ApiServer) -> None:
    """httpx can not read several streams of one connection for long, so this is spoken by hand."""
    streams, events, payload = 20, 10, "x" * 100_000
    async with shared.client() as http:
        axon = await create(http)
        reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
        connection = h2.connection.H2Connection()
        connection.initiate_connection()
        for number in range(streams):
            headers = {
                ":method": "GET",
                ":path": f"/v1/axons/{axon}/subscribe/sse",
                ":scheme": "http",
                ":authority": "x",
                "authorization": f"Bearer {KEY}",
            }
            connection.send_headers(1 + 2 * number, list(headers.items()), end_stream=True)
        writer.write(connection.data_to_send())
        received = dict.fromkeys(range(1, 2 * streams, 2), 0)
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            for _ in range(events):
                group.create_task(publish(http, axon, payload))
            while min(received.values()) < events * len(payload):
                for event in connection.receive_data(await reader.read(65536)):
                    if isinstance(event, h2.events.DataReceived):
                        received[event.stream_id] += len(event.data)
                        size = event.flow_controlled_length
                        connection.acknowledge_received_data(size, event.stream_id)
                writer.write(connection.data_to_send())
        writer.close()


@VERSIONS
async def test_sigterm_ends_streams_cleanly_and_exits_with_zero(
    server: ApiServer, version: str
) -> None:
    async with client(server.url, version) as http:
        axon = await create(http)
        streams = [http.stream("GET", f"/v1/axons/{axon}/subscribe/sse") for _ in range(5)]
        answers = [await stream.__aenter__() for stream in streams]
        chunks = [answer.aiter_bytes() for answer in answers]
        for chunk in chunks:
            assert await anext(chunk) == b": open\n\n"
        code = asyncio.get_running_loop().run_in_executor(None, server.stop, signal.SIGTERM)
        for chunk in chunks:
            assert [rest async for rest in chunk] == []
        assert await code == 0
        for stream in streams:
            await stream.__aexit__(None, None, None)
    assert [line for line in server.logs if line["level"] == "error"] == []
