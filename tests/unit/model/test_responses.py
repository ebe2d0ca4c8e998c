"""OpenAI Responses, read and written."""

from typing import Any

from scripted import responses
from scripted.conversation import Request, Say, Tool, ToolCall
from scripted.wire import Stamp

STAMP = Stamp("scripted-1", "s1", 7)


def user(text: str) -> Any:
    return {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": text}],
    }


def streamed(reply: Say) -> list[Any]:
    return [frame.data for frame in responses.stream(reply, STAMP)]


def test_a_request_of_codex_is_read_without_what_codex_adds() -> None:
    request = responses.read(
        {
            "model": "m",
            "stream": True,
            "input": [
                user("<environment_context>cwd</environment_context>"),
                user("[[bash ls]]"),
                {"type": "reasoning", "summary": []},
                {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "a.txt"},
                {"type": "custom_tool_call", "call_id": "d", "name": "exec", "input": ""},
            ],
            "tools": [
                {"type": "function", "name": "shell", "parameters": {"type": "object"}},
                {"type": "custom", "name": "exec"},
                {"type": "local_shell"},
            ],
        }
    )
    assert request == Request(
        prompts=("[[bash ls]]",),
        replies=2,
        tools={
            "shell": Tool({"type": "object"}),
            "exec": Tool(is_freeform=True),
            "local_shell": Tool(),
        },
        model="m",
        is_streamed=True,
    )


def test_the_input_may_be_a_plain_string_and_the_output_structured() -> None:
    wanted = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    request = responses.read({"input": "hello", "text": wanted})
    assert (request.prompts, request.schema) == (("hello",), {"type": "object"})


def test_text_is_streamed_within_its_item() -> None:
    frames = streamed(Say(("two ", "words")))
    assert [frame["type"] for frame in frames] == [
        "response.created",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert frames[3] == {
        "type": "response.output_text.delta",
        "sequence_number": 4,
        "output_index": 0,
        "item_id": "msg_s1",
        "content_index": 0,
        "delta": "two ",
    }
    assert [frame["sequence_number"] for frame in frames] == list(range(1, 9))


def test_every_frame_names_its_event_and_only_text_is_paused_after() -> None:
    frames = list(responses.stream(Say(("a",), thoughts=("b",), pause_seconds=2), STAMP))
    assert all(isinstance(f.data, dict) and f.data["type"] == f.event for f in frames)
    paused = [frame.event for frame in frames if frame.pause_seconds]
    assert paused == ["response.output_text.delta"]


def test_items_open_empty_and_close_full() -> None:
    said = Say(("so",), thoughts=("hm",), tool=ToolCall("shell", {"command": "ls"}))
    frames = streamed(said)
    added = [f["item"] for f in frames if f["type"] == "response.output_item.added"]
    done = [f["item"] for f in frames if f["type"] == "response.output_item.done"]
    assert (added[0]["summary"], added[1]["content"]) == ([], [])
    assert [item.get("status") for item in added] == [None, "in_progress", "in_progress"]
    assert done == frames[-1]["response"]["output"]


def test_a_whole_reply_is_what_the_stream_ends_with() -> None:
    said = Say(("so",), thoughts=("hm",), tool=ToolCall("shell", {"command": "ls"}))
    response = responses.whole(said, STAMP)
    assert streamed(said)[-1]["response"] == response
    assert response["status"] == "completed"
    assert response["output"] == [
        {
            "id": "rs_s1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
        },
        {
            "id": "msg_s1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "so", "annotations": []}],
        },
        {
            "id": "fc_s1",
            "type": "function_call",
            "call_id": "call_s1",
            "name": "shell",
            "status": "completed",
            "arguments": '{"command": "ls"}',
        },
    ]


def test_a_free_form_tool_is_called_with_plain_input() -> None:
    item = responses.whole(Say(tool=ToolCall("exec", "text(1)")), STAMP)["output"][0]
    assert (item["type"], item["input"]) == ("custom_tool_call", "text(1)")
