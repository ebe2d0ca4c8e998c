"""The SSE parser gives the same events however the bytes were cut."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.sse import ServerSentEvent, SseParser


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"data:a\r\rdata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"event: error\ndata: x\n\n", [("error", "x")]),
        (b"data: a\ndata: b\ndata\n\n", [("message", "a\nb\n")]),
        (b": open\n\n: ping\n\ndata: 1\n\n", [("message", "1")]),
        (b"event: lonely\n\ndata: 1\n\n", [("message", "1")]),
        (b"id: 7\nretry: 5\nother: 1\ndata:  two spaces\n\n", [("message", " two spaces")]),
        (b"\xef\xbb\xbfdata: bom\n\n", [("message", "bom")]),
        (b"data: cut off", []),
        (b"data: cut off\n", []),
        # Other Unicode line separators are data, not line ends.
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [("message", "a\u2028b\x0bc\x85")]),
    ],
)
def test_events_of_a_stream(stream: bytes, expected: list[tuple[str, str]]) -> None:
    assert [(event.event, event.data) for event in parse(stream)] == expected


@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\r\n")), max_size=5),
    end=st.sampled_from(["\n", "\r", "\r\n"]),
    cuts=st.lists(st.integers(min_value=0, max_value=200), max_size=20),
)
def test_any_chunking_gives_the_same_events(texts: list[str], end: str, cuts: list[int]) -> None:
    stream = "".join(f": ping{end}{end}data: {text}{end}{end}" for text in texts).encode()
    points = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    chunks = [stream[start:stop] for start, stop in itertools.pairwise(points)]
    assert parse(*chunks) == [ServerSentEvent("message", text) for text in texts]


def test_byte_by_byte() -> None:
    stream = "data: zwölf\r\ndata: ✓\r\n\r\n".encode()
    assert parse(*(stream[i : i + 1] for i in range(len(stream)))) == [
        ServerSentEvent("message", "zwölf\n✓")
    ]
