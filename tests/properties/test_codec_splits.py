"""However the bytes of an agent are split, the codec hears the same (codebases.md, section 8)."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from ranvier.events import AxonEvent, Origin
from ranvier_broker.codecs import jsonrpc
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import Fact, Said
from ranvier_broker.codecs.jsonl import LineSplitter, LineTooLong

JSON: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
METHODS = st.sampled_from(
    ["session/update", "session/request_permission", "_x/y", "$/cancel_request"]
)
MESSAGES = (
    st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "method": METHODS, "params": JSON})
    | st.fixed_dictionaries(
        {
            "jsonrpc": st.just("2.0"),
            "id": st.integers() | st.text(),
            "method": METHODS,
            "params": JSON,
        }
    )
    | st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": st.integers(0, 4), "result": JSON})
    | st.fixed_dictionaries({"jsonrpc": st.just("2.0"), "id": st.integers(0, 4), "error": JSON})
)
LINES = MESSAGES.map(lambda m: json.dumps(m).encode()) | st.binary(max_size=40)


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    ends = [*places, len(data)]
    return [data[start:end] for start, end in zip([0, *places], ends, strict=True)]


def heard(parts: list[bytes]) -> list[Fact]:
    codec = AcpCodec("/", line_bytes_max=400)
    codec.begin(0)
    event = AxonEvent("a", 1, 0, Origin.USER, "x", "initialize", "{}")
    codec.control(event, 0)
    codec.prompt("t", AxonEvent("a", 2, 0, Origin.USER, "x", "user.message", "hi"), 0)
    facts = [fact for part in parts for fact in codec.receive(part, 0)]
    return [*facts, *codec.end("gone")]


@given(st.lists(LINES, max_size=6), st.lists(st.integers(0, 1000), max_size=12))
def test_any_split_of_the_bytes_tells_the_same_facts(lines: list[bytes], cuts: list[int]) -> None:
    data = b"\n".join(lines)
    assert heard(split(data, cuts)) == heard([data])


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=20), st.integers(1, 30))
def test_lines_are_the_same_for_any_split_and_never_over_the_limit(
    data: bytes, cuts: list[int], limit: int
) -> None:
    splitter = LineSplitter(limit)
    lines = [line for part in split(data, cuts) for line in splitter.feed(part)]
    assert lines == LineSplitter(limit).feed(data)
    for line in lines:
        assert line.size > limit if isinstance(line, LineTooLong) else len(line) <= limit


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_what_an_agent_says_is_published_as_the_text_that_it_was(
    value: Any, indent: int | None, ascii_only: bool
) -> None:
    """Byte for byte, whatever the agent's JSON writer makes of spaces, escapes and numbers."""
    text = json.dumps(value, ensure_ascii=ascii_only, separators=(" , ", " : "))
    try:
        line = f'{{"params":{text} , "method" :"_m", "jsonrpc":"2.0"}}\n'.encode()
    except UnicodeEncodeError:
        return  # a lone surrogate can only travel escaped
    codec = AcpCodec("/")
    codec.begin(0)
    expected = "{}" if value is None else text
    assert codec.receive(line, 0) == [Said("_m", expected)]


@given(JSON, st.sampled_from([None, 2]))
def test_a_clients_payload_reaches_the_agent_on_one_line_with_its_meaning(
    value: Any, indent: int | None
) -> None:
    line = jsonrpc.one_line(json.dumps(value, indent=indent))
    assert "\n" not in line.text
    assert json.loads(line.text) == line.value == value
