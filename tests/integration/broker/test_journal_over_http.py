"""The journal over real sockets: what is retried, what is final, what goes over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ranvier import internal
from ranvier.events import NewEvent, Origin
from ranvier_broker import commands, retrying
from ranvier_broker.events import Appended, Attached
from ranvier_broker.journal import HttpJournal
from ranvier_broker.journal_seam import Lost, Refused
from ranvier_broker.settings import Settings

ATTACHED = internal.AttachAnswer(
    axon_id="axn", epoch=3, cursor=1, control_cursor=2, head=9, state={"initialize": {}}
).model_dump(mode="json")
APPEND = commands.Append(
    epoch=3,
    batch=1,
    events=(NewEvent(Origin.SYSTEM, "broker", "turn.started", "{}"),),
    cursor=5,
    control_cursor=6,
    marks=(commands.StartMark("t", 5, 0),),
)
DROP = b""
"""Instead of an answer: the server closes the connection."""


@dataclass
class Request:
    line: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return self.line.split()[1]


@dataclass
class Server:
    """Gives its answers in order, one a request, as raw bytes."""

    answers: list[bytes] = field(default_factory=list)
    seen: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while self.answers:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *rest = head.strip().split("\r\n")
                headers = dict(text.lower().split(": ", 1) for text in rest)
                headers["authorization"] = next(
                    text.split(": ")[1] for text in rest if text.startswith("authorization")
                )
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.seen.append(Request(line, headers, body))
                answer = self.answers.pop(0)
                writer.write(answer)
                await writer.drain()
                if not answer or b"connection: close" in answer:
                    break
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


def answer(value: Any, status: int = 200) -> bytes:
    body = json.dumps(value).encode()
    return f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def problem(status: int) -> bytes:
    return answer({"code": "x", "message": "y"}, status)


def streamed(*chunks: bytes) -> bytes:
    """A chunked answer that ends without its end."""
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)


@dataclass
class Wire:
    server: Server
    client: HttpJournal
    token: Path


@pytest.fixture
async def wire(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Wire]:
    monkeypatch.setattr(retrying, "DELAY_SECONDS_FIRST", 0.0)
    monkeypatch.setattr(retrying, "DELAY_SECONDS_MAX", 0.0)
    (tmp_path / "token").write_text("one\n")
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    settings = Settings(
        api_url=f"http://127.0.0.1:{port}",
        devbox_uid="uid",
        devbox_name="",
        namespace="",
        generation=7,
        pod_uid="pod",
        token_file=tmp_path / "token",
        io_dir=tmp_path,
        bin_dir=tmp_path,
        executions_dir=tmp_path,
        home="/",
        home_dir=None,
        ready_port=0,
        mounts=(),
    )
    client = HttpJournal(settings)
    yield Wire(server, client, tmp_path / "token")
    client.close()
    listening.close()
    await listening.wait_closed()


async def test_attach_says_its_generation_and_brings_the_state(wire: Wire) -> None:
    wire.server.answers = [answer(ATTACHED)]
    assert await wire.client.attach(2) == Attached(3, 1, 2, {"initialize": {}})
    [request] = wire.server.seen
    assert request.line == "POST /internal/v1/devboxes/uid/mounts/2/attach HTTP/1.1"
    assert json.loads(request.body) == {"generation": 7, "pod_uid": "pod"}
    internal.AttachRequest.model_validate_json(request.body)
    assert request.headers["authorization"] == "Bearer one"


async def test_what_may_pass_is_tried_again_with_the_token_of_the_moment(wire: Wire) -> None:
    passing = [problem(status) for status in (401, 403, 404, 429, 500, 503)]
    wire.server.answers = [*passing, DROP, b"no http\r\n\r\n", answer([]), answer(ATTACHED)]
    wire.token.write_text("two")
    await wire.client.attach(0)
    assert {request.headers["authorization"] for request in wire.server.seen} == {"Bearer two"}
    assert len(wire.server.seen) == 10


async def test_an_append_is_repeated_under_its_number(wire: Wire) -> None:
    written = answer({"first_sequence": 10, "last_sequence": 10})
    wire.server.answers = [DROP, problem(503), written]
    assert await wire.client.append(0, APPEND) == Appended(1, 10)
    bodies = [json.loads(request.body) for request in wire.server.seen]
    assert bodies[0] == bodies[1] == bodies[2]
    read = internal.AppendRequest.model_validate_json(wire.server.seen[0].body)
    assert read == internal.AppendRequest(
        epoch=3,
        batch=1,
        events=[
            internal.AppendEvent(origin=Origin.SYSTEM, event_type="turn.started", payload="{}")
        ],
        cursor=5,
        control_cursor=6,
        turn_marks=[internal.TurnStarted(turn_id="t", trigger=5, event_index=0)],
    )


async def test_a_connection_serves_many_requests_and_a_closed_one_is_left(wire: Wire) -> None:
    written = answer({"first_sequence": 10, "last_sequence": 10})
    last = written.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    wire.server.answers = [written, written, last, written]
    for _ in range(4):
        await wire.client.append(0, APPEND)
    assert wire.server.connections == 2


@pytest.mark.parametrize(
    ("status", "error"), [(409, Lost), (404, Lost), (422, Refused), (400, Refused), (413, Refused)]
)
async def test_what_will_not_pass_is_final(wire: Wire, status: int, error: type[Exception]) -> None:
    wire.server.answers = [problem(status)]
    with pytest.raises(error):
        await wire.client.append(0, APPEND)


async def test_a_broker_never_publishes_what_is_a_users(wire: Wire) -> None:
    forged = commands.Append(1, 1, (NewEvent(Origin.USER, "x", "user.message", "{}"),))
    with pytest.raises(Refused):
        await wire.client.append(0, forged)
    assert wire.server.seen == []


def frame(sequence: int) -> bytes:
    view = {
        "axon_id": "axn",
        "sequence": sequence,
        "timestamp_ms": 1,
        "origin": "USER_EVENT",
        "source": "s",
        "event_type": "user.message",
        "payload": "hé",
    }
    return f"data: {json.dumps(view)}\n\n".encode()


async def test_a_subscription_goes_on_after_the_last_event_it_had(wire: Wire) -> None:
    first = frame(5) + frame(6)
    wire.server.answers = [
        streamed(b": open\n\n", first[:70], first[70:], frame(7)[:20]),
        problem(500),
        streamed(b"event: error\ndata: {}\n\n"),
        streamed(b"data: {}\n\n"),
        streamed(frame(7)),
    ]
    seen = []
    stream = wire.client.subscribe("axn", 4)
    async for event in stream:
        seen.append((event.sequence, event.payload))
        if event.sequence == 7:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    assert seen == [(5, "hé"), (6, "hé"), (7, "hé")]
    path = "/v1/axons/axn/subscribe/sse?after_sequence={}&origin=USER_EVENT,EXTERNAL_EVENT"
    asked = [request.path for request in wire.server.seen]
    assert asked == [path.format(after) for after in (4, 6, 6, 6, 6)]
