"""The internal API over HTTP: answers become values, failures one of two kinds."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from ranvier.internal import AxonBinding, DevboxBinding, SleepReason, SleepRequest
from ranvier_operator.errors import JournalRefused, JournalUnreachable
from ranvier_operator.journal import DOWN_SECONDS, HttpJournal
from ranvier_operator.testing import ManualClock

Answer = Callable[[httpx.Request], httpx.Response]
BINDING = DevboxBinding(namespace="here", name="box")


class Server:
    """Answers as it is told and remembers what was asked."""

    def __init__(self, tmp_path: Path) -> None:
        self.requests: list[httpx.Request] = []
        self.answer: Answer = lambda _: httpx.Response(200, json={})
        self.clock = ManualClock()
        self.token = tmp_path / "token"
        self.token.write_text("first\n")
        self.journal = HttpJournal(
            api_url="http://api",
            token_file=str(self.token),
            clock=self.clock,
            transport=httpx.MockTransport(self._handle),
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.answer(request)


@pytest.fixture
async def server(tmp_path: Path) -> Server:
    return Server(tmp_path)


async def test_a_binding_is_put_and_the_view_comes_back(server: Server) -> None:
    view = {"uid": "u", "namespace": "here", "name": "box", "generation": 3}
    server.answer = lambda _: httpx.Response(200, json={**view, "asleep": True, "wanted": False})
    answer = await server.journal.bind_devbox("u", BINDING)
    assert (answer.generation, answer.asleep) == (3, True)
    request = server.requests[0]
    assert (request.method, str(request.url)) == ("PUT", "http://api/internal/v1/devboxes/u")
    assert DevboxBinding.model_validate_json(request.content) == BINDING
    assert request.headers["authorization"] == "Bearer first"


async def test_the_token_is_read_again_for_each_call(server: Server) -> None:
    await server.journal.forget_devbox("u")
    server.token.write_text("second\n")
    await server.journal.forget_devbox("u")
    tokens = [request.headers["authorization"] for request in server.requests]
    assert tokens == ["Bearer first", "Bearer second"]


async def test_a_sleep_is_asked_for(server: Server) -> None:
    server.answer = lambda _: httpx.Response(
        200,
        json={
            "granted": False,
            "generation": 2,
            "reason": "TurnOpen",
            "message": "A turn is running.",
            "look_again_ms": 1000,
        },
    )
    answer = await server.journal.sleep("u", SleepRequest(generation=2, idle_seconds=60))
    assert (answer.granted, answer.reason) == (False, SleepReason.TURN_OPEN)


async def test_what_is_forgotten_already_is_forgotten(server: Server) -> None:
    server.answer = lambda _: httpx.Response(404, json={"code": "x", "message": "gone"})
    await server.journal.forget_devbox("u")
    await server.journal.forget_axon("u")


@pytest.mark.parametrize("status", [401, 403, 408, 429, 500, 502, 503, 504])
async def test_an_answer_that_may_change_is_no_refusal(server: Server, status: int) -> None:
    server.answer = lambda _: httpx.Response(status, text="<html>")
    with pytest.raises(JournalUnreachable):
        await server.journal.bind_axon("u", AxonBinding(namespace="here", name="box"))


@pytest.mark.parametrize(
    ("status", "code"), [(404, "axon_not_found"), (422, "x"), (500, "journal_damaged")]
)
async def test_a_refusal_carries_the_journals_words(server: Server, status: int, code: str) -> None:
    server.answer = lambda _: httpx.Response(status, json={"code": code, "message": "No."})
    with pytest.raises(JournalRefused, match=r"No\.") as caught:
        await server.journal.bind_devbox("u", BINDING)
    assert (caught.value.status, caught.value.code) == (status, code)


async def test_an_answer_that_is_not_understood_is_no_answer(server: Server) -> None:
    with pytest.raises(JournalUnreachable, match="not understood"):
        await server.journal.bind_devbox("u", BINDING)


async def test_a_dead_server_is_left_alone_for_a_moment(server: Server) -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    server.answer = refuse
    for _ in range(5):
        with pytest.raises(JournalUnreachable):
            await server.journal.devboxes()
    assert len(server.requests) == 1
    server.clock.advance(DOWN_SECONDS)
    with pytest.raises(JournalUnreachable):
        await server.journal.devboxes()
    assert len(server.requests) == 2


async def test_without_a_token_nothing_is_asked(server: Server) -> None:
    server.token.unlink()
    with pytest.raises(JournalUnreachable, match="token"):
        await server.journal.axons()
    assert server.requests == []
