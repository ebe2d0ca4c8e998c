"""Frames that the published clients digest (runloop-api, sections 2.1 and 2.2)."""

import json

from ranvier.events import AxonEvent, Origin
from ranvier.sse import ServerSentEvent, SseParser
from ranvier_apiserver import frames

PAYLOAD = '{"a": "\r\n\u2028\x00 ✓"}'
EVENT = AxonEvent("axn_1", 7, 123, Origin.USER, "me", "user.message", PAYLOAD)


def test_an_event_is_one_data_line_and_its_payload_comes_back_byte_for_byte() -> None:
    frame = frames.frame(EVENT)
    assert frame.startswith(b"data: {")
    assert frame.endswith(b"}\n\n")
    assert b"\n" not in frame[:-2]
    assert b"\r" not in frame
    (event,) = SseParser().feed(frame)
    assert json.loads(event.data) == {
        "axon_id": "axn_1",
        "sequence": 7,
        "timestamp_ms": 123,
        "origin": "USER_EVENT",
        "source": "me",
        "event_type": "user.message",
        "payload": PAYLOAD,
    }


def test_opening_and_keep_alives_are_comments() -> None:
    assert SseParser().feed(frames.OPEN + frames.PING) == []


def test_no_frame_carries_an_id_or_a_retry() -> None:
    for frame in (frames.frame(EVENT), frames.OPEN, frames.PING, frames.error(500, "x")):
        assert not any(line.startswith((b"id", b"retry")) for line in frame.split(b"\n"))


def test_an_error_names_its_status() -> None:
    assert SseParser().feed(frames.error(500, "damaged")) == [
        ServerSentEvent("error", '{"code":500,"message":"damaged"}')
    ]
