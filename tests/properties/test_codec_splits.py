"""However the bytes of an agent are split, the codec hears the same (codebases.md, section 8)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranvier.events import AxonEvent, Origin
from ranvier_broker.codecs import CODECS, jsonrpc
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import Codec, Complaint, Fact, Garbage, Said
from ranvier_broker.codecs.claude import ClaudeCodec
from ranvier_broker.codecs.codex import CodexCodec
from ranvier_broker.codecs.jsonl import LineSplitter, LineTooLong
from ranvier_broker.codecs.jsonrpc import EXCERPT_CHARACTERS
from ranvier_broker.codecs.pi import PiCodec

LINE_BYTES_MAX = 400

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
CLAUDE_MESSAGES = st.fixed_dictionaries(
    {"type": st.sampled_from(["system", "stream_event", "assistant", "user", "result", "x"])},
    optional={"message": JSON, "event": JSON, "is_error": st.booleans(), "session_id": JSON},
) | st.fixed_dictionaries(
    {
        "type": st.sampled_from(["control_request", "control_response", "control_cancel_request"]),
        "request_id": st.sampled_from(["r1", "ranvier-1"]) | JSON,
    },
    optional={"request": JSON, "response": JSON},
)

CODEX_METHODS = st.sampled_from(
    [
        "item/started",
        "item/completed",
        "item/agentMessage/delta",
        "thread/tokenUsage/updated",
        "turn/started",
        "turn/completed",
        "serverRequest/resolved",
        "item/tool/requestUserInput",
    ]
)
CODEX_PARAMS = JSON | st.fixed_dictionaries(
    {"threadId": st.just("t1") | JSON},
    optional={"item": JSON, "turn": JSON, "delta": JSON, "tokenUsage": JSON, "requestId": JSON},
)
CODEX_RESULTS = JSON | st.just({"thread": {"id": "t1"}}) | st.just({"turn": {"id": "n"}})
CODEX_MESSAGES = (
    st.fixed_dictionaries(
        {"method": CODEX_METHODS, "params": CODEX_PARAMS},
        optional={"id": st.integers() | st.text(), "emittedAtMs": st.integers()},
    )
    | st.fixed_dictionaries({"id": st.integers(0, 4), "result": CODEX_RESULTS})
    | st.fixed_dictionaries({"error": JSON, "id": st.integers(0, 4)})
)


PI_MESSAGES = (
    st.fixed_dictionaries(
        {"type": st.just("response"), "command": st.sampled_from(["get_state", "prompt", "fork"])},
        optional={
            "id": st.sampled_from(["r1", "broker-1", "broker-2"]) | JSON,
            "success": st.booleans(),
            "data": JSON | st.fixed_dictionaries({"sessionFile": st.text(), "messageCount": JSON}),
            "error": JSON,
        },
    )
    | st.fixed_dictionaries(
        {"type": st.just("extension_ui_request"), "id": JSON},
        optional={"method": st.sampled_from(["confirm", "notify"]), "timeout": JSON},
    )
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["agent_start", "agent_settled", "tool_execution_end", "x"])},
        optional={"toolCallId": JSON, "aborted": JSON},
    )
    | st.fixed_dictionaries(
        {"type": st.sampled_from(["message_update", "message_end"])},
        optional={
            "message": JSON
            | st.fixed_dictionaries({"role": st.just("assistant"), "usage": JSON}, optional={}),
            "assistantMessageEvent": JSON
            | st.fixed_dictionaries({"type": st.just("text_delta"), "delta": JSON}),
        },
    )
)


def lines_of(messages: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[list[bytes]]:
    """Messages and, among them, bytes of all kinds."""
    line = messages.map(lambda m: json.dumps(m).encode()) | st.binary(max_size=40)
    return st.lists(line, max_size=6)


@dataclass(frozen=True)
class Listener:
    """A codec, what its agent says, and how a client makes it expect that."""

    make: Callable[[], Codec]
    lines: st.SearchStrategy[list[bytes]]
    request: str

    def heard(self, parts: list[bytes]) -> list[Fact]:
        """What it makes of the agent's bytes, with a request and a turn open."""
        codec = self.make()
        codec.begin(0)
        event = AxonEvent("a", 1, 0, Origin.USER, "x", "initialize", self.request)
        codec.control(event, 0)
        codec.prompt("t", AxonEvent("a", 2, 0, Origin.USER, "x", "user.message", "hi"), 0)
        facts = [fact for part in parts for fact in codec.receive(part, 0)]
        return [*facts, *codec.end("gone")]


CODEX_REQUEST = {"id": "c", "method": "initialize", "params": {"clientInfo": {"name": "c"}}}
CLAUDE_REQUEST = {"type": "control_request", "request_id": "r1", "request": {}}
LISTENERS = {
    "acp": Listener(lambda: AcpCodec("/", line_bytes_max=LINE_BYTES_MAX), lines_of(MESSAGES), "{}"),
    "claude_json": Listener(
        lambda: ClaudeCodec("/", line_bytes_max=LINE_BYTES_MAX),
        lines_of(CLAUDE_MESSAGES),
        json.dumps(CLAUDE_REQUEST),
    ),
    "codex_app_server": Listener(
        lambda: CodexCodec("/", line_bytes_max=LINE_BYTES_MAX),
        lines_of(CODEX_MESSAGES),
        json.dumps(CODEX_REQUEST),
    ),
    "pi_json": Listener(
        lambda: PiCodec("/", line_bytes_max=LINE_BYTES_MAX),
        lines_of(PI_MESSAGES),
        json.dumps({"id": "r1", "type": "get_state"}),
    ),
}
"""One for each protocol; a new one is added here."""


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({min(cut, len(data)) for cut in cuts})
    ends = [*places, len(data)]
    return [data[start:end] for start, end in zip([0, *places], ends, strict=True)]


def test_there_is_a_listener_for_every_protocol() -> None:
    assert LISTENERS.keys() == CODECS.keys()


@pytest.mark.parametrize("protocol", LISTENERS)
@settings(deadline=None)
@given(data=st.data(), cuts=st.lists(st.integers(0, 1000), max_size=12))
def test_any_split_of_the_bytes_tells_the_same_facts(
    protocol: str, data: st.DataObject, cuts: list[int]
) -> None:
    listener = LISTENERS[protocol]
    said = b"\n".join(data.draw(listener.lines))
    assert listener.heard(split(said, cuts)) == listener.heard([said])


NO_TEXT = st.binary(max_size=40).map(lambda data: data.replace(b"\n", b" ") + b"\xff")


@pytest.mark.parametrize("protocol", LISTENERS)
@settings(deadline=None, max_examples=40)
@given(data=st.data(), no_text=NO_TEXT, size=st.integers(LINE_BYTES_MAX + 1, 3000))
def test_a_line_that_is_no_text_and_one_too_long_are_told_and_change_nothing_else(
    protocol: str, data: st.DataObject, no_text: bytes, size: int
) -> None:
    listener = LISTENERS[protocol]
    before, after = data.draw(listener.lines), data.draw(listener.lines)
    heard = listener.heard([lines([*before, no_text, b"x" * size, *after])])
    excerpt = no_text[:EXCERPT_CHARACTERS].decode(errors="replace")
    garbage = Garbage("not UTF-8", excerpt)
    [at] = [
        number
        for number, fact in enumerate(heard)
        if isinstance(fact, Complaint) and f"a line of {size} bytes" in fact.message
    ]
    told = heard[at - 1 : at + 1]
    assert told == [garbage, Complaint("line_too_long", told[1].message)]
    del heard[at - 1 : at + 1]
    assert heard == listener.heard([lines([*before, *after])])


def lines(whole: list[bytes]) -> bytes:
    return b"".join(line + b"\n" for line in whole)


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
    claude = ClaudeCodec("/")
    claude.begin(0)
    line = f'{{"params":{text} , "type" :"_m"}} \r'.encode()
    assert claude.receive(line + b"\n", 0) == [Said("_m", line.decode())]
    codex = CodexCodec("/")
    codex.begin(0)
    line = f'{{"params":{text} , "method" :"_m"}} \r'.encode()
    assert codex.receive(line + b"\n", 0) == [Said("_m", line.decode())]
    pi = PiCodec("/")
    pi.begin(0)
    line = f'{{"params":{text} , "type" :"_m"}} \r'.encode()
    assert pi.receive(line + b"\n", 0) == [Said("_m", line.decode())]


@given(JSON, st.sampled_from([None, 2]))
def test_a_clients_payload_reaches_the_agent_on_one_line_with_its_meaning(
    value: Any, indent: int | None
) -> None:
    line = jsonrpc.one_line(json.dumps(value, indent=indent))
    assert "\n" not in line.text
    assert json.loads(line.text) == line.value == value
