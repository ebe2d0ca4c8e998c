"""A publish that came in one piece takes a short way through the server. Nobody can tell, but by
the time it takes: answers, order, limits and ends are those of the ordinary way."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from api_process import KEY, READER, ApiServer, box_on, create
from ranvier_apiserver import hot_path, serving
from ranvier_apiserver.routes.context import Context
from ranvier_apiserver.routes.publish import Publish
from starlette.types import ASGIApp

EVENT = {"event_type": "t", "origin": "USER_EVENT", "payload": "p", "source": "s"}
Answer = tuple[int, dict[str, str], bytes]


class Wire:
    """A connection on which requests are written as the test wants them cut."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *pieces: bytes) -> None:
        for number, piece in enumerate(pieces):
            if number:
                # What was written before is read by then, or the server takes it for one piece:
                # it answers the same in either case.
                await asyncio.sleep(0.05)
            self._writer.write(piece)
            await self._writer.drain()

    async def answer(self) -> Answer:
        async with asyncio.timeout(20):
            status, *lines = (await self._reader.readuntil(b"\r\n\r\n")).decode().splitlines()
            headers = dict(line.split(": ", 1) for line in lines if line)
            headers.pop("date")
            body = await self._reader.readexactly(int(headers["content-length"]))
            return int(status.split()[1]), headers, body

    async def end(self) -> bytes:
        async with asyncio.timeout(20):
            return await self._reader.read()

    async def close(self) -> None:
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


@asynccontextmanager
async def wire(port: int) -> AsyncIterator[Wire]:
    connection = Wire(*await asyncio.open_connection("127.0.0.1", port))
    try:
        yield connection
    finally:
        await connection.close()


def request(path: str, body: bytes, **headers: str) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "host: x", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


REQUESTS: dict[str, tuple[Any, dict[str, str]]] = {
    "an event": (EVENT, {}),
    "three events": ([EVENT] * 3, {}),
    "not an ASCII payload": ({**EVENT, "payload": "ß\u2028🎈"}, {}),
    "an event of the runtime": ({**EVENT, "origin": "SYSTEM_EVENT"}, {}),
    "a batch with one of the runtime": ([EVENT, {**EVENT, "origin": "SYSTEM_EVENT"}], {}),
    "no events": ([], {}),
    "a field is missing": ({"event_type": "t"}, {}),
    "an empty body": (b"", {}),
    "no JSON": (b"{nonsense", {}),
    "NUL in a name": ({**EVENT, "source": "a\0b"}, {}),
    "another head": (EVENT, {"if_match": '"99"'}),
    "no head": (EVENT, {"if_match": "abc"}),
    "an id of a request that is too long": (EVENT, {"x_request_id": "x" * 300}),
    "nobody": (EVENT, {"authorization": "Bearer nobody-knows-this-key"}),
    "no key at all": (EVENT, {"authorization": "Basic abc"}),
    "a key that only reads": (EVENT, {"authorization": f"Bearer {READER}"}),
    "the last request of its connection": (EVENT, {"connection": "close"}),
}


@pytest.mark.parametrize("what", REQUESTS)
async def test_both_ways_give_the_same_answer(shared: ApiServer, what: str) -> None:
    content, more = REQUESTS[what]
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    answers = []
    async with shared.client() as http:
        for is_cut in (False, True):
            # Each way on an axon of its own, so that sequences can be compared.
            axon = await create(http)
            path = f"/v1/axons/{axon}/publish"
            whole = request(path, body, **{"authorization": f"Bearer {KEY}", **more})
            pieces = (whole[:-1], whole[-1:]) if is_cut else (whole,)
            async with wire(shared.port) as connection:
                await connection.send(*pieces)
                status, headers, answer = await connection.answer()
                told = json.loads(answer.replace(axon.encode(), b"the axon"))
                for result in told.get("events", [told]):
                    result.pop("timestamp_ms", None)
                answers.append((status, headers | {"content-length": ""}, told))
    assert answers[0] == answers[1]


async def test_an_axon_that_is_not_there_is_not_found_either_way(shared: ApiServer) -> None:
    whole = request("/v1/axons/axn_no/publish", json.dumps(EVENT).encode(), authorization=KEY)
    whole = whole.replace(KEY.encode(), b"Bearer " + KEY.encode())
    async with wire(shared.port) as connection:
        await connection.send(whole)
        first = await connection.answer()
        await connection.send(whole[:-1], whole[-1:])
        assert first == await connection.answer()
    assert first[0] == 404


async def test_requests_in_one_piece_are_answered_in_their_order(shared: ApiServer) -> None:
    async with shared.client() as http, wire(shared.port) as connection:
        path, key = f"/v1/axons/{await create(http)}/publish", f"Bearer {KEY}"
        good = request(path, json.dumps(EVENT).encode(), authorization=key)
        bad = request(path, b"{", authorization=key)
        await connection.send(good + bad + good + good + bad)
        statuses = [(await connection.answer())[0] for _ in range(5)]
    assert statuses == [200, 400, 200, 200, 400]


async def test_a_retry_gets_the_first_answer_whichever_way_it_takes(shared: ApiServer) -> None:
    async with shared.client() as http, wire(shared.port) as connection:
        path = f"/v1/axons/{await create(http)}/publish"
        whole = request(
            path, json.dumps(EVENT).encode(), authorization=f"Bearer {KEY}", x_request_id="one"
        )
        answers = []
        for pieces in ((whole,), (whole[:-1], whole[-1:]), (whole,)):
            await connection.send(*pieces)
            answers.append(await connection.answer())
    assert answers[0] == answers[1] == answers[2]


APPENDS: dict[str, tuple[str, Any]] = {
    "a word of the agent": ("/mounts/0/append", {}),
    "a batch before the first": ("/mounts/0/append", {"batch": 0}),
    "a batch too far": ("/mounts/0/append", {"batch": 9}),
    "an epoch that is over": ("/mounts/0/append", {"epoch": 0}),
    "no such mount": ("/mounts/1/append", {}),
    "a mount without a number": ("/mounts/x/append", {}),
    "an event of a user": ("/mounts/0/append", {"events": [{**EVENT, "origin": "USER_EVENT"}]}),
    "a field of another kind": ("/mounts/0/append", {"events": "none"}),
}


@pytest.mark.parametrize("what", APPENDS)
async def test_both_ways_give_a_broker_the_same_answer(shared: ApiServer, what: str) -> None:
    tail, changes = APPENDS[what]
    answers = []
    async with shared.client() as http:
        for is_cut in (False, True):
            async with box_on(shared) as box, wire(shared.port) as connection:
                await box.bind(await create(http))
                await box.attach()
                word = {"origin": "AGENT_EVENT", "event_type": "t", "payload": "p"}
                body = json.dumps({"epoch": 1, "batch": 1, "events": [word], **changes}).encode()
                token = box.broker.headers["authorization"]
                path = f"/internal/v1/devboxes/{box.uid}{tail}"
                whole = request(path, body, authorization=token)
                await connection.send(*((whole[:-1], whole[-1:]) if is_cut else (whole,)))
                status, headers, answer = await connection.answer()
                told = json.loads(answer.replace(box.uid.encode(), b"the devbox"))
                answers.append((status, headers | {"content-length": ""}, told))
    assert answers[0] == answers[1]
    assert (answers[0][0] == 200) == (what == "a word of the agent")


async def test_a_broker_appends_to_its_own_mounts_alone(shared: ApiServer) -> None:
    async with shared.client() as http, box_on(shared) as box, box_on(shared) as other:
        await box.bind(await create(http))
        await box.attach()
        url = f"/internal/v1/devboxes/{box.uid}/mounts/0/append"
        for client in (other.broker, box.operator, http):
            assert (await client.post(url, json={"epoch": 1, "batch": 1})).status_code == 403


class Nobody:
    """An authenticator that breaks when it is asked."""

    def known(self, scope: Any) -> Any:
        raise KeyError("a fault of ours")

    principal = known


@pytest.mark.parametrize("cut", [0, 1])
async def test_a_fault_before_the_caller_is_known_is_answered_as_any_other(
    cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    publish = Publish(cast(Context, SimpleNamespace(authenticator=Nobody())))
    whole = request("/v1/axons/a/publish", json.dumps(EVENT).encode(), authorization="Bearer k")
    async with serving_app(publish) as (port, _), wire(port) as connection:
        await connection.send(*((whole[:-cut], whole[-cut:]) if cut else (whole,)))
        status, headers, answer = await connection.answer()
        assert (status, headers["content-type"]) == (500, "application/json")
        assert json.loads(answer)["code"] == "internal_error"
    assert ["a fault of ours" in str(record.exc_info) for record in caplog.records] == [True]


class App:
    """Takes `/hot` the short way, and answers when it is told to; all else the ordinary way."""

    def __init__(self) -> None:
        self.taken: list[hot_path.Reply] = []
        self.came = asyncio.Event()
        self.stopping = asyncio.Event()

    def take(self, scope: Any, body: bytes, reply: hot_path.Reply) -> bool:
        if scope["path"] != "/hot" or body == b"no":
            return False
        self.taken.append(reply)
        self.came.set()
        return True

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
        length = (b"content-length", b"%d" % (len(body) + 9))
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": b"ordinary " + body})


@asynccontextmanager
async def serving_app(app: ASGIApp) -> AsyncIterator[tuple[int, serving.QuietServer]]:
    stopping = app.stopping if isinstance(app, App) else asyncio.Event()
    server = serving.server_for(app, stopping.set)
    listener = serving.listen("127.0.0.1", 0)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()[1], server
        server.should_exit = True
        await running


@pytest.mark.parametrize(
    "pieces",
    [
        (request("/hot", b"no"),),
        (request("/other", b"no"),),
        (request("/hot?a=b", b"no"),),
        (request("/hot", b"no")[:-2], b"no"),
        (request("/hot", b"no")[:-2], b"n", b"o"),
        (request("/hot", b"no", connection="close"),),
    ],
)
async def test_what_is_left_goes_the_ordinary_way(pieces: tuple[bytes, ...]) -> None:
    app = App()
    async with serving_app(app) as (port, _), wire(port) as connection:
        await connection.send(*pieces)
        assert (await connection.answer())[2] == b"ordinary no"
    assert not app.taken


async def test_a_request_behind_one_that_is_not_answered_waits_for_it() -> None:
    app = App()
    async with serving_app(app) as (port, _), wire(port) as connection:
        await connection.send(request("/hot", b"1") + request("/other", b"2"))
        await app.came.wait()
        app.taken[0](201, b"first", hot_path.JSON)
        assert (await connection.answer())[::2] == (201, b"first")
        assert (await connection.answer())[2] == b"ordinary 2"


async def test_a_stop_waits_for_an_answer_and_closes_its_connection() -> None:
    app = App()
    async with serving_app(app) as (port, server), wire(port) as connection:
        await connection.send(request("/hot", b"1"))
        await app.came.wait()
        server.should_exit = True
        await app.stopping.wait()
        app.taken[0](200, b"{}", hot_path.JSON)
        status, headers, _ = await connection.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await connection.end() == b""


async def test_an_answer_to_a_client_that_left_harms_nobody() -> None:
    app = App()
    async with serving_app(app) as (port, server):
        async with wire(port) as connection:
            await connection.send(request("/hot", b"1"))
            await app.came.wait()
        async with asyncio.timeout(20):
            while server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
                await asyncio.sleep(0.01)
        app.taken[0](200, b"{}", hot_path.JSON)
        async with wire(port) as connection:
            await connection.send(request("/other", b"still here"))
            assert (await connection.answer())[2] == b"ordinary still here"
