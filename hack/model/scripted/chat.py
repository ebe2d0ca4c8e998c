"""OpenAI Chat Completions, which opencode and most other agents speak.

A prompt is a user message, whatever its parts; a reply with tool calls is an assistant message that
holds some. A stream is role, reasoning, text, tool call, finish, usage and the `[DONE]` mark.
"""

import json
from collections.abc import Iterator

from scripted.conversation import Json, Request, Say, Tool, Transcript, text_of
from scripted.wire import INPUT_TOKENS, OUTPUT_TOKENS, Frame, Stamp

USAGE: Json = {
    "prompt_tokens": INPUT_TOKENS,
    "completion_tokens": OUTPUT_TOKENS,
    "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
}


def read(body: Json) -> Request:
    """The request in the terms of a conversation."""
    transcript = Transcript()
    for message in body.get("messages", []):
        if message["role"] == "user":
            transcript.heard(text_of(message.get("content")))
        elif message["role"] == "assistant" and message.get("tool_calls"):
            transcript.called()
    offered = [tool["function"] for tool in body.get("tools") or []]
    wanted = (body.get("response_format") or {}).get("json_schema") or {}
    return Request(
        prompts=tuple(transcript.prompts),
        replies=transcript.replies,
        tools={tool["name"]: Tool(tool.get("parameters") or {}) for tool in offered},
        model=body.get("model", "scripted-1"),
        is_streamed=bool(body.get("stream")),
        schema=wanted.get("schema"),
    )


def stream(reply: Say, stamp: Stamp) -> Iterator[Frame]:
    """The reply in frames."""

    def chunk(delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return _head("chat.completion.chunk", stamp) | {"choices": [choice]}

    yield Frame(chunk({"role": "assistant", "content": ""}))
    for thought in reply.thoughts:
        yield Frame(chunk({"reasoning_content": thought}))
    for text in reply.chunks:
        yield Frame(chunk({"content": text}), pause_seconds=reply.pause_seconds)
    for call in _tool_calls(reply, stamp):
        named = call | {"function": call["function"] | {"arguments": ""}}
        arguments = {"arguments": call["function"]["arguments"]}
        yield Frame(chunk({"tool_calls": [{"index": 0, **named}]}))
        yield Frame(chunk({"tool_calls": [{"index": 0, "function": arguments}]}))
    yield Frame(chunk({}, _finish(reply)))
    yield Frame(_head("chat.completion.chunk", stamp) | {"choices": [], "usage": USAGE})
    yield Frame("[DONE]")


def whole(reply: Say, stamp: Stamp) -> Json:
    """The reply as one object."""
    message: Json = {"role": "assistant", "content": reply.text}
    if reply.thoughts:
        message["reasoning_content"] = "".join(reply.thoughts)
    if reply.tool:
        message["tool_calls"] = _tool_calls(reply, stamp)
    choice = {"index": 0, "message": message, "finish_reason": _finish(reply)}
    return _head("chat.completion", stamp) | {"choices": [choice], "usage": USAGE}


def _head(kind: str, stamp: Stamp) -> Json:
    return {
        "id": f"chatcmpl-{stamp.serial}",
        "object": kind,
        "created": stamp.created_at,
        "model": stamp.model,
    }


def _tool_calls(reply: Say, stamp: Stamp) -> list[Json]:
    if reply.tool is None:
        return []
    function = {"name": reply.tool.name, "arguments": json.dumps(reply.tool.arguments)}
    return [{"id": f"call_{stamp.serial}", "type": "function", "function": function}]


def _finish(reply: Say) -> str:
    return "tool_calls" if reply.tool else "stop"
