"""Anthropic Messages, which Claude Code speaks.

Claude merges an unanswered prompt with the next one, and tool results with the prompt after them,
into one message; so each text block of a user message is a prompt of its own. The reply is a list
of content blocks: thinking, text, tool use. A stream opens each block, tells its deltas, closes it.
"""

import json
from collections.abc import Iterator
from typing import Any

from scripted.conversation import Json, Request, Say, Tool, Transcript
from scripted.wire import INPUT_TOKENS, OUTPUT_TOKENS, Frame, Stamp

# Claude Code's own note on a cancelled prompt; nobody typed it.
INTERRUPTED = "[Request interrupted"
# Thinking blocks must be signed; nobody checks this one.
SIGNATURE = "c2NyaXB0ZWQ="


def read(body: Json) -> Request:
    """The request in the terms of a conversation."""
    transcript = Transcript()
    for message in body.get("messages", []):
        blocks = _blocks_of(message["content"])
        if message["role"] == "user":
            for block in blocks:
                text = block.get("text", "") if block.get("type") == "text" else ""
                if not text.startswith(INTERRUPTED):
                    transcript.heard(text)
        elif any(block.get("type") == "tool_use" for block in blocks):
            transcript.called()
    offered = [tool for tool in body.get("tools") or [] if "name" in tool]
    wanted = (body.get("output_config") or {}).get("format") or {}
    return Request(
        prompts=tuple(transcript.prompts),
        replies=transcript.replies,
        tools={tool["name"]: Tool(tool.get("input_schema") or {}) for tool in offered},
        model=body.get("model", "scripted-1"),
        is_streamed=bool(body.get("stream")),
        schema=wanted.get("schema"),
    )


def stream(reply: Say, stamp: Stamp) -> Iterator[Frame]:
    """The reply in frames."""
    opening = _message(stamp, content=[], stop_reason=None, output_tokens=1)
    yield _frame("message_start", message=opening)
    for index, block in enumerate(_blocks(reply, stamp)):
        yield _frame("content_block_start", index=index, content_block=_opened(block))
        for delta in _deltas(block, reply):
            pause = reply.pause_seconds if delta["type"] == "text_delta" else 0.0
            yield _frame("content_block_delta", pause, index=index, delta=delta)
        yield _frame("content_block_stop", index=index)
    end = {"stop_reason": _stop_reason(reply), "stop_sequence": None}
    yield _frame("message_delta", delta=end, usage={"output_tokens": OUTPUT_TOKENS})
    yield _frame("message_stop")


def whole(reply: Say, stamp: Stamp) -> Json:
    """The reply as one object."""
    blocks = _blocks(reply, stamp)
    return _message(stamp, blocks, _stop_reason(reply), OUTPUT_TOKENS)


def _frame(kind: str, pause_seconds: float = 0.0, **fields: Any) -> Frame:
    return Frame({"type": kind, **fields}, kind, pause_seconds)


def _message(
    stamp: Stamp, content: list[Json], stop_reason: str | None, output_tokens: int
) -> Json:
    return {
        "id": f"msg_{stamp.serial}",
        "type": "message",
        "role": "assistant",
        "model": stamp.model,
        "content": content,
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": INPUT_TOKENS,
            "output_tokens": output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    }


def _blocks(reply: Say, stamp: Stamp) -> list[Json]:
    blocks: list[Json] = []
    if reply.thoughts:
        thinking = "".join(reply.thoughts)
        blocks.append({"type": "thinking", "thinking": thinking, "signature": SIGNATURE})
    if reply.chunks:
        blocks.append({"type": "text", "text": reply.text})
    if reply.tool:
        use = {"type": "tool_use", "id": f"toolu_{stamp.serial}", "name": reply.tool.name}
        blocks.append(use | {"input": reply.tool.arguments})
    return blocks


def _opened(block: Json) -> Json:
    """A block as it looks before anything was told about it."""
    empty: dict[str, Json] = {
        "thinking": {"thinking": "", "signature": ""},
        "text": {"text": ""},
        "tool_use": {"input": {}},
    }
    return block | empty[block["type"]]


def _deltas(block: Json, reply: Say) -> Iterator[Json]:
    if block["type"] == "thinking":
        for thought in reply.thoughts:
            yield {"type": "thinking_delta", "thinking": thought}
        yield {"type": "signature_delta", "signature": SIGNATURE}
    elif block["type"] == "text":
        for text in reply.chunks:
            yield {"type": "text_delta", "text": text}
    else:
        yield {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}


def _stop_reason(reply: Say) -> str:
    return "tool_use" if reply.tool else "end_turn"


def _blocks_of(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []
