"""OpenAI Chat Completions, read and written."""

from typing import Any

from scripted import chat
from scripted.conversation import Request, Say, Tool, ToolCall
from scripted.wire import Stamp

STAMP = Stamp("scripted-1", "s1", 7)
HEAD = {"id": "chatcmpl-s1", "created": 7, "model": "scripted-1"}
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


def chunk(delta: Any, finish: str | None = None) -> Any:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return HEAD | {"object": "chat.completion.chunk", "choices": [choice]}


def streamed(reply: Say) -> list[Any]:
    return [frame.data for frame in chat.stream(reply, STAMP)]


def test_a_request_of_opencode_is_read() -> None:
    parameters = {"type": "object", "properties": {"command": {"type": "string"}}}
    request = chat.read(
        {
            "model": "scripted-1",
            "stream": True,
            "messages": [
                {"role": "system", "content": "You are opencode."},
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": "hello"},
                {"role": "user", "content": [{"type": "text", "text": "[[bash ls]]"}]},
                {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1"}]},
                {"role": "tool", "tool_call_id": "call_1", "content": "a.txt"},
            ],
            "tools": [{"type": "function", "function": {"name": "bash", "parameters": parameters}}],
        }
    )
    assert request == Request(
        prompts=("first", "[[bash ls]]"),
        replies=1,
        tools={"bash": Tool(parameters)},
        model="scripted-1",
        is_streamed=True,
    )


def test_a_bare_request_is_read() -> None:
    assert chat.read({"messages": []}) == Request((), 0, {}, "scripted-1", is_streamed=False)


def test_structured_output_is_recognised() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
    assert chat.read({"response_format": wanted}).schema == {"type": "object"}


def test_text_is_streamed_chunk_by_chunk() -> None:
    assert streamed(Say(("two ", "words"))) == [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "two "}),
        chunk({"content": "words"}),
        chunk({}, "stop"),
        HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": USAGE},
        "[DONE]",
    ]


def test_only_text_is_paused_after() -> None:
    pauses = [frame.pause_seconds for frame in chat.stream(Say(("a", "b"), pause_seconds=2), STAMP)]
    assert pauses == [0, 2, 2, 0, 0, 0]


def test_thoughts_come_before_text_and_a_tool_call_after_it() -> None:
    said = Say(("so",), thoughts=("hm",), tool=ToolCall("bash", {"command": "ls"}))
    named = {"id": "call_s1", "type": "function", "function": {"name": "bash", "arguments": ""}}
    assert streamed(said)[1:-2] == [
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "so"}),
        chunk({"tool_calls": [{"index": 0} | named]}),
        chunk({"tool_calls": [{"index": 0, "function": {"arguments": '{"command": "ls"}'}}]}),
        chunk({}, "tool_calls"),
    ]


def test_a_whole_reply_is_one_message() -> None:
    said = Say(("so ", "be it"), thoughts=("hm",), tool=ToolCall("bash", {"command": "ls"}))
    function = {"name": "bash", "arguments": '{"command": "ls"}'}
    message = {
        "role": "assistant",
        "content": "so be it",
        "reasoning_content": "hm",
        "tool_calls": [{"id": "call_s1", "type": "function", "function": function}],
    }
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    expected = HEAD | {"object": "chat.completion", "choices": [choice], "usage": USAGE}
    assert chat.whole(said, STAMP) == expected
