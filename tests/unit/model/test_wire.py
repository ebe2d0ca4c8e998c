"""Frames are server-sent events; a broken stream ends in the middle."""

from scripted.wire import BREAK_PAUSE_SECONDS, Frame, broken


def test_a_frame_is_encoded_as_a_server_sent_event() -> None:
    assert Frame({"a": 1}).encode() == b'data: {"a": 1}\n\n'
    assert Frame({"a": 1}, "ping").encode() == b'event: ping\ndata: {"a": 1}\n\n'
    assert Frame("[DONE]").encode() == b"data: [DONE]\n\n"


def test_a_broken_stream_is_its_first_half_held_for_a_moment() -> None:
    frames = [Frame(name) for name in "abcde"]
    held = Frame("b", pause_seconds=BREAK_PAUSE_SECONDS)
    assert broken(frames, is_garbled=False) == [Frame("a"), held]


def test_a_garbled_stream_ends_in_what_is_not_json() -> None:
    frames = [Frame(name) for name in "abcd"]
    assert broken(frames, is_garbled=True)[-1] == Frame("{not json")
