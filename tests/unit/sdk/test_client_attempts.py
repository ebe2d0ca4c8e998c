"""Which answers are tried again, how, and what the others become; the server's words are given."""

import json
from collections.abc import Callable

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier import Ranvier
from ranvier.client import retries
from ranvier.client.errors import (
    AnswerNotUnderstood,
    Conflict,
    ConnectionFailed,
    Forbidden,
    InvalidField,
    NotConfigured,
    RanvierError,
    RateLimited,
    ServerFailed,
    StatusError,
)

SOON = {"retry-after-ms": "1"}
AXON = {"id": "axn_1", "created_at_ms": 1, "metadata": {}, "shape": "of a newer server"}


def client(answer: Callable[[httpx.Request], httpx.Response], retries: int = 2) -> Ranvier:
    transport = httpx.MockTransport(answer)
    return Ranvier("http://server", "key", retries=retries, http_transport=transport)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "attempts"),
    [
        (403, {}, Forbidden, 1),
        (422, {}, InvalidField, 1),
        (418, {}, StatusError, 1),
        (409, SOON, Conflict, 3),
        (409, {"x-should-retry": "false"}, Conflict, 1),
        (429, SOON, RateLimited, 3),
        (429, {"retry-after": "3600"}, RateLimited, 1),
        (503, SOON, ServerFailed, 3),
        (500, {"x-should-retry": "false"}, ServerFailed, 1),
        (400, {"x-should-retry": "true", **SOON}, StatusError, 3),
    ],
)
def test_statuses_become_errors_after_the_attempts_that_make_sense(
    status: int, headers: dict[str, str], kind: type[StatusError], attempts: int
) -> None:
    ids = []

    def answer(request: httpx.Request) -> httpx.Response:
        ids.append(request.headers["x-request-id"])
        body = {"code": "why", "message": "It is so"}
        return httpx.Response(status, json=body, headers=headers)

    with client(answer) as ranvier, pytest.raises(kind, match=r"It is so\. \w") as refused:
        ranvier.axons.create()
    assert (refused.value.status, refused.value.code) == (status, "why")
    assert len(ids) == attempts
    assert len(set(ids)) == 1, "the server must know a repeated request again"


def test_a_page_of_a_proxy_and_an_answer_of_another_service_are_explained() -> None:
    html = "<html>Bad Gateway</html>" + "x" * 10_000
    with client(lambda _: httpx.Response(502, text=html, headers=SOON)) as ranvier:
        with pytest.raises(ServerFailed, match="Bad Gateway") as refused:
            ranvier.axons.list()
        assert len(str(refused.value)) < 500
    with (
        client(lambda _: httpx.Response(200, text="hello")) as ranvier,
        pytest.raises(AnswerNotUnderstood, match="Is the base URL that of a Ranvier server"),
    ):
        ranvier.axons.list()
    with client(lambda _: httpx.Response(200, json=AXON)) as ranvier:
        assert ranvier.axons.retrieve("axn/../1").id == "axn_1"


def test_a_call_that_was_not_answered_is_repeated_under_its_id() -> None:
    sent = []

    def lost(request: httpx.Request) -> httpx.Response:
        sent.append((request.headers["x-request-id"], request.headers.get("if-match")))
        raise httpx.ReadTimeout("no answer")

    with client(lost) as ranvier:
        with pytest.raises(ConnectionFailed, match="did not answer in time"):
            ranvier.axons.publish("axn_1", "t", "", request_id="mine", expected_sequence=4)
        assert sent == [("mine", '"4"')] * 3


def test_a_payload_is_sent_as_it_is_and_half_a_character_is_refused_here() -> None:
    seen = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content)["payload"])
        return httpx.Response(200, json={"sequence": 1, "timestamp_ms": 1})

    with client(answer) as ranvier:
        ranvier.axons.publish("axn_1", "t", ' {"a":1 } ')
        ranvier.axons.publish("axn_1", "t", {"a": "ä"})
        assert seen == [' {"a":1 } ', '{"a": "ä"}']
        with pytest.raises(RanvierError, match="surrogate"):
            ranvier.axons.publish("axn_1", "t", "\ud800")


def test_what_is_not_configured_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANVIER_API_KEY", raising=False)
    monkeypatch.delenv("RANVIER_BASE_URL", raising=False)
    monkeypatch.setenv("RUNLOOP_API_KEY", "key of another service")
    with pytest.raises(NotConfigured, match="Set RANVIER_API_KEY"):
        Ranvier()
    with pytest.raises(NotConfigured, match="'localhost:8080' is no address"):
        Ranvier("localhost:8080", "key")
    monkeypatch.setenv("RANVIER_API_KEY", "key")
    monkeypatch.setenv("RANVIER_BASE_URL", "https://ranvier.example/base/")
    with Ranvier() as ranvier:
        assert ranvier.settings.base_url == "https://ranvier.example/base"
        assert "key" not in repr(ranvier.settings).replace("api_key", "")


@given(attempt=st.integers(0, 10_000), chance=st.floats(0, 1, exclude_max=True))
def test_waits_grow_within_their_limit(attempt: int, chance: float) -> None:
    wait = retries.backoff(attempt, chance)
    assert retries.FIRST_WAIT_SECONDS / 2 <= wait <= retries.WAIT_SECONDS_MAX


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "200", "retry-after": "9"}, 0.2),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after-ms": "soon", "retry-after": "2"}, 2.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry-after": "-1"}, None),
        ({}, None),
    ],
)
def test_the_time_that_the_server_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert retries.asked_seconds(headers) == seconds
