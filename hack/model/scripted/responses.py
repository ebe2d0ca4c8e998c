"""OpenAI Responses, which Codex speaks.

The input is a flat list of items; a user message is a prompt unless Codex wrote it, a call item is
a reply. The reply is a list of items too: reasoning, message, call. A stream opens each item, tells
its deltas, closes it, and ends with the whole response.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

from scripted.conversation import Json, Request, Say, Tool, ToolCall, Transcript, text_of
from scripted.wire import INPUT_TOKENS, OUTPUT_TOKENS, Frame, Stamp

# How the messages begin that Codex puts into the user's mouth.
INJECTED = (
    "<environment_context>",
    "<user_instructions>",
    "# AGENTS.md",
    "<turn_aborted>",
    "<permissions",
    "<skills",
    "<collaboration",
    "<recommended_plugins>",
)
CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call"})
USAGE: Json = {
    "input_tokens": INPUT_TOKENS,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": OUTPUT_TOKENS,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def read(body: Json) -> Request:
    """The request in the terms of a conversation."""
    items = body.get("input", [])
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    transcript = Transcript()
    for item in items:
        kind = item.get("type", "message")
        if kind == "message" and item.get("role") == "user":
            text = text_of(item.get("content"))
            if not text.lstrip().startswith(INJECTED):
                transcript.heard(text)
        elif kind in CALLS:
            transcript.called()
    wanted = (body.get("text") or {}).get("format") or {}
    return Request(
        prompts=tuple(transcript.prompts),
        replies=transcript.replies,
        tools={tool.get("name") or tool["type"]: _tool(tool) for tool in body.get("tools") or []},
        model=body.get("model", "scripted-1"),
        is_streamed=bool(body.get("stream")),
        schema=wanted.get("schema"),
    )


def stream(reply: Say, stamp: Stamp) -> Iterator[Frame]:
    """The reply in frames."""
    for number, event in enumerate(_events(reply, stamp), start=1):
        data = {"type": event.kind, "sequence_number": number} | event.fields
        yield Frame(data, event.kind, event.pause_seconds)


def whole(reply: Say, stamp: Stamp) -> Json:
    """The reply as one object."""
    return _completed(_items(reply, stamp), stamp)


class _Event(NamedTuple):
    """A stream event before it is numbered."""

    kind: str
    fields: Json
    pause_seconds: float = 0.0


def _events(reply: Say, stamp: Stamp) -> Iterator[_Event]:
    items = _items(reply, stamp)
    yield _Event("response.created", {"response": _response("in_progress", [], stamp)})
    for index, item in enumerate(items):
        place = {"output_index": index}
        yield _Event("response.output_item.added", place | {"item": _opened(item)})
        yield from _deltas(item, place | {"item_id": item["id"]}, reply)
        yield _Event("response.output_item.done", place | {"item": item})
    yield _Event("response.completed", {"response": _completed(items, stamp)})


def _deltas(item: Json, place: Json, reply: Say) -> Iterator[_Event]:
    """What is told between the opening of an item and its closing; a call has nothing to tell."""
    if item["type"] == "reasoning":
        for thought in reply.thoughts:
            fields = place | {"summary_index": 0, "delta": thought}
            yield _Event("response.reasoning_summary_text.delta", fields)
    elif item["type"] == "message":
        place = place | {"content_index": 0}
        yield _Event("response.content_part.added", place | {"part": _output_text("")})
        for text in reply.chunks:
            fields = place | {"delta": text}
            yield _Event("response.output_text.delta", fields, reply.pause_seconds)
        yield _Event("response.output_text.done", place | {"text": reply.text})


def _items(reply: Say, stamp: Stamp) -> list[Json]:
    items: list[Json] = []
    if reply.thoughts:
        summary = [{"type": "summary_text", "text": "".join(reply.thoughts)}]
        items.append({"id": f"rs_{stamp.serial}", "type": "reasoning", "summary": summary})
    if reply.chunks:
        message = {"id": f"msg_{stamp.serial}", "type": "message", "role": "assistant"}
        items.append(message | {"status": "completed", "content": [_output_text(reply.text)]})
    if reply.tool:
        items.append(_call(reply.tool, stamp))
    return items


def _call(call: ToolCall, stamp: Stamp) -> Json:
    head = {"call_id": f"call_{stamp.serial}", "name": call.name, "status": "completed"}
    if isinstance(call.arguments, str):
        custom = {"id": f"ctc_{stamp.serial}", "type": "custom_tool_call"}
        return custom | head | {"input": call.arguments}
    function = {"id": f"fc_{stamp.serial}", "type": "function_call"}
    return function | head | {"arguments": json.dumps(call.arguments)}


def _opened(item: Json) -> Json:
    """An item as it looks before anything was told about it."""
    if item["type"] == "reasoning":
        return item | {"summary": []}
    if item["type"] == "message":
        return item | {"status": "in_progress", "content": []}
    return item | {"status": "in_progress"}


def _output_text(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _response(status: str, output: list[Json], stamp: Stamp) -> Json:
    return {
        "id": f"resp_{stamp.serial}",
        "object": "response",
        "created_at": stamp.created_at,
        "model": stamp.model,
        "status": status,
        "output": output,
    }


def _completed(output: list[Json], stamp: Stamp) -> Json:
    return _response("completed", output, stamp) | {"usage": USAGE}


def _tool(offered: Json) -> Tool:
    return Tool(offered.get("parameters") or {}, is_freeform=offered.get("type") == "custom")
