"""The journal's client: what is retried, what is final, and what goes over the wire."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from ranvier.events import NewEvent, Origin
from ranvier_broker import commands, journal
from ranvier_broker.events import Appended, Attached
from ranvier_broker.journal_seam import Lost, Refused
from ranvier_broker.settings import Settings

ATTACHED = {"axon_id": "axn", "epoch": 3, "cursor": 1, "control_cursor": 2, "head": 9, "state": {}}
APPEND = commands.Append(
    epoch=3,
    batch=1,
    events=(NewEvent(Origin.SYSTEM, "broker", "turn.started", "{}"),),
    cursor=5,
    control_cursor=6,
    marks=(commands.StartMark("t", 5, 0),),
)
Answer = Callable[[httpx.Request], httpx.Response]


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(journal, "DELAY_SECONDS_FIRST", 0.0)
    monkeypatch.setattr(journal, "DELAY_SECONDS_MAX", 0.0)
    token = tmp_path / "token"
    token.write_text("one\n")
    return Settings("http://j", "uid", "", "", 7, "pod", token, tmp_path, tmp_path, "/", 0, ())


def client(settings: Settings, *answers: httpx.Response | Exception) -> Any:
    """A client of a server that gives these answers, one a request; `seen` keeps the requests."""
    made = journal.HttpJournal(settings)
    left, seen = list(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        given = left.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    timeout = made._http.timeout
    made._http = httpx.AsyncClient(
        base_url="http://j",
        auth=made._http.auth,
        timeout=timeout,
        transport=httpx.MockTransport(answer),
    )
    made.seen = seen  # type: ignore[attr-defined]
    return made


def problem(status: int) -> httpx.Response:
    return httpx.Response(status, json={"code": "x", "message": "y"})


async def test_attach_says_its_generation_and_brings_the_state(settings: Settings) -> None:
    made = client(settings, httpx.Response(200, json=ATTACHED))
    assert await made.attach(2) == Attached(3, 1, 2, {})
    [request] = made.seen
    assert request.url.path == "/internal/v1/devboxes/uid/mounts/2/attach"
    assert json.loads(request.content) == {"generation": 7, "pod_uid": "pod"}
    assert request.headers["authorization"] == "Bearer one"
    await made.aclose()


async def test_what_may_pass_is_tried_again_with_the_token_of_the_moment(
    settings: Settings,
) -> None:
    passing = [problem(status) for status in (401, 403, 404, 429, 500, 503)]
    broken = httpx.ConnectError("refused")
    made = client(settings, *passing, broken, httpx.Response(200, json=ATTACHED))
    settings.token_file.write_text("two")
    await made.attach(0)
    assert {r.headers["authorization"] for r in made.seen} == {"Bearer two"}
    assert len(made.seen) == 8
    await made.aclose()


async def test_an_append_is_repeated_under_its_number(settings: Settings) -> None:
    answer = httpx.Response(200, json={"first_sequence": 10, "last_sequence": 10})
    made = client(settings, httpx.ReadTimeout("slow"), problem(503), answer)
    assert await made.append(0, APPEND) == Appended(1, 10)
    bodies = [json.loads(request.content) for request in made.seen]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0] == {
        "epoch": 3,
        "batch": 1,
        "events": [
            {
                "origin": "SYSTEM_EVENT",
                "source": "broker",
                "event_type": "turn.started",
                "payload": "{}",
            }
        ],
        "cursor": 5,
        "control_cursor": 6,
        "state": None,
        "turn_marks": [{"kind": "started", "turn_id": "t", "trigger": 5, "event_index": 0}],
    }
    await made.aclose()


@pytest.mark.parametrize(
    ("status", "error"), [(409, Lost), (404, Lost), (422, Refused), (400, Refused), (413, Refused)]
)
async def test_what_will_not_pass_is_final(
    settings: Settings, status: int, error: type[Exception]
) -> None:
    made = client(settings, problem(status))
    with pytest.raises(error):
        await made.append(0, APPEND)
    await made.aclose()


async def test_a_broker_never_publishes_what_is_a_users(settings: Settings) -> None:
    made = client(settings)
    forged = commands.Append(1, 1, (NewEvent(Origin.USER, "x", "user.message", "{}"),))
    with pytest.raises(Refused):
        await made.append(0, forged)
    await made.aclose()


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


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


async def test_a_subscription_goes_on_after_the_last_event_it_had(settings: Settings) -> None:
    first = frame(5) + frame(6)
    made = client(
        settings,
        httpx.Response(200, content=chunks(b": open\n\n", first[:70], first[70:], frame(7)[:20])),
        problem(500),
        httpx.Response(200, content=chunks(b"event: error\ndata: {}\n\n")),
        httpx.Response(200, content=chunks(frame(7))),
    )
    seen = []
    async for event in made.subscribe("axn", 4):
        seen.append(event.sequence)
        if event.sequence == 7:
            break
    assert seen == [5, 6, 7]
    after = [request.url.params["after_sequence"] for request in made.seen]
    assert after == ["4", "6", "6", "6"]
    assert made.seen[0].url.params["origin"] == "USER_EVENT,EXTERNAL_EVENT"
    await asyncio.sleep(0)
    await made.aclose()
