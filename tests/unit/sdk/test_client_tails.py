"""A subscription over broken connections: the bytes are given, the events must be each once."""

import json
from itertools import accumulate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier import Ranvier
from ranvier.client.errors import AnswerNotUnderstood, NotFound, SequenceGap
from ranvier.client.tails import EventTail, Interrupted, OutputTail
from ranvier.events import Origin


def frame(sequence: int, origin: str = "USER_EVENT", event_type: str = "t") -> bytes:
    event = {
        "axon_id": "axn",
        "sequence": sequence,
        "timestamp_ms": 1,
        "origin": origin,
        "source": "s",
        "event_type": event_type,
        "payload": "p" * (sequence % 7),
    }
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def take(tail: EventTail, chunk: bytes) -> list[int]:
    return [event.sequence for event in tail.feed(chunk)]


@given(
    count=st.integers(0, 20),
    cuts=st.lists(st.integers(1, 900), max_size=20),
    overlap=st.integers(0, 3),
)
def test_any_cuts_give_every_event_once(count: int, cuts: list[int], overlap: int) -> None:
    tail = EventTail("axn")
    seen: list[int] = []
    for cut in [*cuts, 1 << 30]:
        # Each connection resumes at the last sequence (or a server sends some again) and is cut.
        after = max(tail.last_sequence - overlap, 0)
        whole = b": open\n\n" + b"".join(frame(n) for n in range(after + 1, count + 1))
        tail.opened()
        for start in range(0, min(cut, len(whole)), 100):
            seen += take(tail, whole[start : min(start + 100, cut)])
        tail.ended(0.5)
    assert seen == list(range(1, count + 1))
    assert tail.query == ({"after_sequence": str(count)} if count else {})


def test_an_event_that_was_passed_over_is_an_error_unless_it_was_filtered_out() -> None:
    tail = EventTail("axn", 3)
    assert take(tail, frame(4)) == [4]
    with pytest.raises(SequenceGap, match=r"event 7 came where 5 was due.*ranvier verify axn"):
        take(tail, frame(7))
    chosen = EventTail("axn", origins=[Origin.AGENT], event_types=["a", "b"])
    assert chosen.query == {"origin": "AGENT_EVENT", "event_type": "a,b"}
    frames = frame(3, "AGENT_EVENT", "a") + frame(5) + frame(8, "AGENT_EVENT", "c")
    assert take(chosen, frames + frame(9, "AGENT_EVENT", "b")) == [3, 9]


def test_errors_on_the_stream_end_it_or_are_waited_out() -> None:
    tail = EventTail("axn", 3)
    tail.opened()
    events = tail.feed(frame(4) + b'event: error\ndata: {"code": 408, "message": "idle"}\n\n')
    assert next(events).sequence == 4
    with pytest.raises(Interrupted):
        next(events)
    with pytest.raises(NotFound, match="deleted"):
        take(tail, b'event: error\ndata: {"code": 404, "message": "It was deleted"}\n\n')
    with pytest.raises(AnswerNotUnderstood, match="an event after 4 can not be read"):
        take(tail, b"data: {}\n\n")


def test_the_first_connection_is_given_up_and_a_later_one_never() -> None:
    tail = EventTail("axn", tries_max=2)
    why = NotFound(404, "", "why.", "")
    assert tail.failed(why, 0.5) > 0
    with pytest.raises(NotFound):
        tail.failed(why, 0.5)
    tail.opened()
    assert all(tail.failed(why, 0.99) <= 8 for _ in range(100))
    with pytest.raises(NotFound):
        tail.refused(404, {}, b"{}", 0.5)
    assert tail.refused(429, {"retry-after": "20"}, b"{}", 0.5) == 20


def output_frame(text: str, offset: int) -> bytes:
    return b"data: " + json.dumps({"output": text, "offset": offset}).encode() + b"\n\n"


@given(words=st.lists(st.text(min_size=1, max_size=9), max_size=12), cut=st.integers(1, 60))
def test_output_comes_once_and_whole_over_any_number_of_connections(
    words: list[str], cut: int
) -> None:
    ends = list(accumulate(len(word.encode()) for word in words))
    tail, seen = OutputTail("dbx", "exe"), []
    for _ in range(len(words) + 1):
        after = int(tail.query.get("offset", "0"))
        frames = [
            output_frame(word, end) for word, end in zip(words, ends, strict=True) if end > after
        ]
        tail.opened()
        # Every connection brings at least its first frame, or there would be no end of it.
        length = max(cut, len(frames[0])) if frames else 0
        seen += tail.feed(b": ping\n\n" + b"".join(frames)[:length])
    assert seen == words
    assert tail.offset == (ends[-1] if ends else 0)


def test_output_is_whole_only_when_the_command_had_ended_before_its_stream() -> None:
    """A server that is stopped ends its streams in good order too."""
    states = iter(["running", "completed"])
    streams = iter([output_frame("one ", 4), output_frame("two", 7)])

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("stream_stdout_updates"):
            return httpx.Response(200, content=next(streams))
        body = {"devbox_id": "dbx", "execution_id": "exe", "status": next(states)}
        return httpx.Response(200, json=body)

    transport = httpx.MockTransport(answer)
    with Ranvier("http://server", "key", http_transport=transport) as ranvier:
        assert "".join(ranvier.devboxes.output("dbx", "exe")) == "one two"


def test_output_that_can_not_be_read_is_no_silence() -> None:
    tail = OutputTail("dbx", "exe")
    tail.opened()
    with pytest.raises(AnswerNotUnderstood, match="after byte 0"):
        list(tail.feed(b'data: {"output": "x"}\n\n'))
