"""What Claude Code and its clients say, for tests of the codec."""

import json
from typing import Any

from broker_playbook import Talk, axon_event
from ranvier_broker.codecs.base import Ready
from ranvier_broker.codecs.claude import ClaudeCodec

SESSION = "b1479b01-0eae-4932-a51b-9f62d977be6b"
QUERY = {"type": "user", "message": {"role": "user", "content": "hi"}, "parent_tool_use_id": None}


def fresh_talk() -> Talk:
    """A conversation with a fresh process without a past."""
    talk = Talk(ClaudeCodec("/home/user"))
    assert talk.begin() == [Ready()]
    return talk


def out(kind: str, **members: Any) -> bytes:
    return json.dumps({"type": kind, **members}).encode() + b"\n"


def control(request_id: str, subtype: str, **more: Any) -> dict[str, Any]:
    request = {"subtype": subtype, **more}
    return {"type": "control_request", "request_id": request_id, "request": request}


def answer(request_id: str, subtype: str = "success", **more: Any) -> bytes:
    response = {"subtype": subtype, "request_id": request_id, **more}
    return out("control_response", response=response)


def result(**members: Any) -> bytes:
    return out("result", **{"subtype": "success", "is_error": False, **members})


def open_turn(talk: Talk) -> None:
    talk.prompt(axon_event(50, "query", QUERY))
