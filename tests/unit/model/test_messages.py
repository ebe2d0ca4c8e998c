"""Anthropic Messages, read and written."""

from typing import Any

from scripted import messages
from scripted.conversation import Request, Say, Tool, ToolCall
from scripted.wire import Stamp

STAMP = Stamp("scripted-1", "s1", 7)


def user(*blocks: Any) -> Any:
    return {"role": "user", "content": list(blocks)}


def text(said: str) -> Any:
    return {"type": "text", "text": said}


def streamed(reply: Say) -> list[Any]:
    return [frame.data for frame in messages.stream(reply, STAMP)]


def test_each_text_block_of_a_user_is_a_prompt() -> None:
    """Claude merges an unanswered prompt, and tool results, with the prompt that follows."""
    request = messages.read(
        {
            "model": "m",
            "stream": True,
            "messages": [
                {"role": "user", "content": "first"},
                {"role": "assistant", "content": [{"type": "tool_use", "id": "t"}]},
                user(
                    {"type": "tool_result", "tool_use_id": "t", "content": "ok"},
                    text("[Request interrupted by user]"),
                    text("second"),
                    text("[[bash ls]]"),
                ),
                {"role": "assistant", "content": [text("I look"), {"type": "tool_use"}]},
                user({"type": "tool_result", "tool_use_id": "u", "content": "a.txt"}),
            ],
            "tools": [{"name": "Bash", "input_schema": {"type": "object"}}, {"type": "web"}],
        }
    )
    assert request == Request(
        prompts=("first", "second", "[[bash ls]]"),
        replies=1,
        tools={"Bash": Tool({"type": "object"})},
        model="m",
        is_streamed=True,
    )


def test_structured_output_is_recognised() -> None:
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert messages.read({"output_config": wanted}).schema == {"type": "object"}


def test_blocks_are_streamed_one_after_the_other() -> None:
    said = Say(("so",), thoughts=("hm",), tool=ToolCall("Bash", {"command": "ls"}))
    frames = streamed(said)
    assert [frame["type"] for frame in frames] == [
        "message_start",
        *("content_block_start", "content_block_delta", "content_block_delta"),
        "content_block_stop",
        *("content_block_start", "content_block_delta", "content_block_stop"),
        *("content_block_start", "content_block_delta", "content_block_stop"),
        "message_delta",
        "message_stop",
    ]
    opened = [f["content_block"] for f in frames if f["type"] == "content_block_start"]
    assert opened == [
        {"type": "thinking", "thinking": "", "signature": ""},
        {"type": "text", "text": ""},
        {"type": "tool_use", "id": "toolu_s1", "name": "Bash", "input": {}},
    ]
    deltas = [f["delta"]["type"] for f in frames if f["type"] == "content_block_delta"]
    assert deltas == ["thinking_delta", "signature_delta", "text_delta", "input_json_delta"]
    assert frames[-2]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}


def test_only_text_is_paused_after() -> None:
    frames = messages.stream(Say(("a", "b"), pause_seconds=2), STAMP)
    assert [frame.pause_seconds for frame in frames] == [0, 0, 2, 2, 0, 0, 0]


def test_a_whole_reply_is_one_message() -> None:
    said = Say(("so ", "be it"), tool=ToolCall("Bash", {"command": "ls"}))
    message = messages.whole(said, STAMP)
    assert message["content"] == [
        {"type": "text", "text": "so be it"},
        {"type": "tool_use", "id": "toolu_s1", "name": "Bash", "input": {"command": "ls"}},
    ]
    assert (message["role"], message["stop_reason"]) == ("assistant", "tool_use")
    assert messages.whole(Say(("hi",)), STAMP)["stop_reason"] == "end_turn"
