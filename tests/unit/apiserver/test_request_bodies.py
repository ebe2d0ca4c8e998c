"""Bodies are read within their limit, and wrong ones are answered with the next step."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from ranvier.events import PAYLOAD_BYTES_MAX, NewEvent, Origin
from ranvier_apiserver import bodies
from ranvier_apiserver.bodies import Intake
from ranvier_apiserver.errors import (
    BadInput,
    BodyStopped,
    InvalidField,
    PayloadTooLarge,
    TooBusy,
)
from ranvier_apiserver.routes.publish import (
    BATCH_EVENTS_MAX,
    event_from,
    events_from,
    expected_head,
)


class Sender:
    """Hands out body parts and counts how many were asked for."""

    def __init__(self, *parts: bytes) -> None:
        self.asked = 0
        self._parts: Iterator[bytes] = iter(parts)
        self._left = len(parts)

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        self._left -= 1
        return {"type": "http.request", "body": next(self._parts), "more_body": self._left > 0}


def body(**changes: object) -> bytes:
    event = {"event_type": "user.message", "origin": "USER_EVENT", "payload": "{}", "source": "me"}
    return json.dumps({**event, **changes}).encode()


async def test_a_body_is_put_together() -> None:
    assert await Intake().read({"headers": []}, Sender(b"a", b"", b"b").receive, 2) == b"ab"


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    sender = Sender(b"abc")
    with pytest.raises(PayloadTooLarge):
        await Intake().read({"headers": [(b"content-length", b"3")]}, sender.receive, 2)
    assert sender.asked == 0


async def test_reading_stops_at_the_limit() -> None:
    sender = Sender(b"ab", b"c", b"d")
    with pytest.raises(PayloadTooLarge):
        await Intake().read({"headers": []}, sender.receive, 2)
    assert sender.asked == 2


async def test_a_client_that_goes_away_leaves_no_half_body() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(BadInput):
        await Intake().read({"headers": []}, receive, 2)


async def test_a_body_that_stops_midway_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "CHUNK_SECONDS", 0.01)
    first = Sender(b"a", b"b")

    async def receive() -> dict[str, Any]:
        return await first.receive() if not first.asked else await asyncio.Future()

    intake = Intake()
    with pytest.raises(BodyStopped):
        await intake.read({"headers": []}, receive, 10)
    assert intake.held == 0


async def test_all_bodies_together_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes in one piece is let in; of those that pile up one is refused."""
    monkeypatch.setattr(bodies, "BODIES_BYTES_MAX", 5)
    intake, begun, slow = Intake(), asyncio.Event(), asyncio.Event()
    parts = Sender(b"abc", b"d")

    async def receive() -> dict[str, Any]:
        if parts.asked:
            begun.set()
            await slow.wait()
        return await parts.receive()

    first = asyncio.create_task(intake.read({"headers": []}, receive, 10))
    await begun.wait()
    with pytest.raises(TooBusy):
        await intake.read({"headers": []}, Sender(b"ef", b"g").receive, 10)
    assert await intake.read({"headers": []}, Sender(b"efg").receive, 10) == b"efg"
    slow.set()
    assert await first == b"abcd"
    assert intake.held == 0


def test_an_event_is_read_as_it_was_sent() -> None:
    payload = '{"text": "zwölf \\n ✓"}\u0000'
    assert event_from(body(payload=payload)) == NewEvent(Origin.USER, "me", "user.message", payload)


def test_system_events_are_received_never_published() -> None:
    with pytest.raises(BadInput, match="SYSTEM_EVENT is received, never published"):
        event_from(body(origin="SYSTEM_EVENT"))


@pytest.mark.parametrize(
    ("sent", "error", "says"),
    [
        (b"{", BadInput, "not valid JSON"),
        (b"[]", InvalidField, "The body"),
        (b"", InvalidField, "event_type"),
        (body(origin="NOBODY"), InvalidField, "origin"),
        (body(payload={}), InvalidField, "payload"),
        (body(event_type=""), InvalidField, "event_type"),
        (body(source="x" * 513), InvalidField, "source"),
        (b'{"payload":"\\ud800"}', BadInput, "hex escape"),
    ],
)
def test_a_wrong_body_is_answered_with_its_field(
    sent: bytes, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        event_from(sent)


@pytest.mark.parametrize("character", ["a", "✓"])
def test_the_payload_limit_is_in_bytes(character: str) -> None:
    fits = PAYLOAD_BYTES_MAX // len(character.encode())
    assert event_from(body(payload=character * fits)).payload == character * fits
    with pytest.raises(PayloadTooLarge, match="publish a reference"):
        event_from(body(payload=character * (fits + 1)))


def batch(*payloads: str) -> bytes:
    return b"[" + b",".join(body(payload=payload) for payload in payloads) + b"]"


def test_a_batch_is_read_in_its_order() -> None:
    assert [event.payload for event in events_from(batch("a", "b", "a"))] == ["a", "b", "a"]


@pytest.mark.parametrize(
    ("sent", "error", "says"),
    [
        (b"[]", InvalidField, "at least 1 item"),
        (b"[{}]", InvalidField, "0.event_type"),
        (batch(*["x"] * (BATCH_EVENTS_MAX + 1)), InvalidField, "at most 1000 items"),
        (batch("x" * (PAYLOAD_BYTES_MAX - 1), "yz"), PayloadTooLarge, "a batch may hold in all"),
        (b"[" + body() + b"," + body(origin="SYSTEM_EVENT") + b"]", BadInput, "never published"),
    ],
)
def test_a_wrong_batch_is_refused_whole(sent: bytes, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        events_from(sent)


def test_an_expected_sequence_is_quoted_or_bare() -> None:
    assert expected_head([(b"host", b"x")]) is None
    assert expected_head([(b"if-match", b'"17"')]) == 17
    assert expected_head([(b"if-match", b"0")]) == 0
    for value in (b"*", b'W/"1"', b'"1", "2"', b"-1", b'"x"', b"9" * 19):
        with pytest.raises(BadInput, match="If-Match"):
            expected_head([(b"if-match", value)])
