"""Facts from events in nobody's protocol: the platform's own, and `user.message` turns.

The broker shows generic turns twice, in the agent's words and in `turn.message_chunk` and
`turn.tool_call(_update)`; the conversation reads the second only where the first is missing.
"""

from typing import Any, Final

from ranvier.events import AxonEvent, Origin, SystemEvent
from ranvier.views.facts import (
    NOTHING,
    ComponentState,
    Fact,
    Heard,
    Prompted,
    Text,
    ToolBegan,
    ToolCalled,
    ToolEnded,
    Warned,
)
from ranvier.views.payloads import object_of, text_at, text_in, value_of
from ranvier.views.protocols import USER_MESSAGE

TYPES: Final = frozenset({"turn.message_chunk", "turn.tool_call", "turn.tool_call_update"})
"""The neutral echo of what an agent says (seed 002)."""

_DEVBOX_STATES: Final = {
    SystemEvent.DEVBOX_RUNNING: "running",
    SystemEvent.DEVBOX_SUSPENDED: "suspended",
    SystemEvent.DEVBOX_SHUTDOWN: "shutdown",
    SystemEvent.DEVBOX_FAILED: "failed",
}


def prompted(event: AxonEvent) -> Prompted:
    """A turn asked for in no protocol's words."""
    if event.event_type != USER_MESSAGE or event.origin is not Origin.USER:
        return Prompted(None, len(event.payload))
    value = value_of(event.payload)
    content = value.get("content") if isinstance(value, dict) else value
    return Prompted(None, len(text_in(content)) or len(event.payload))


def agent(event: AxonEvent) -> Heard:
    """An agent's own neutral words."""
    payload = object_of(event.payload)
    if event.event_type == "turn.message_chunk":
        return Heard([Text(text_at(payload, "content") or "")])
    return Heard(_tool(event.event_type, payload))


def system(event: AxonEvent, payload: dict[str, Any]) -> Heard:
    """What the broker or the platform says in its own name."""
    if event.event_type in TYPES:
        return Heard(_tool(event.event_type, payload))
    message = text_at(payload, "message") or text_at(payload, "error") or event.payload
    devbox = text_at(payload, "devbox_id") or ""
    match event.event_type:
        case SystemEvent.TURN_FAILED:
            return Heard([Warned("request_failed", message)])
        case SystemEvent.AGENT_ERROR:
            return Heard([Warned(text_at(payload, "type") or "agent_error", message)])
        case SystemEvent.BROKER_ERROR:
            return Heard([ComponentState("agent", "agent", "failed", message)])
        case (
            SystemEvent.DEVBOX_RUNNING
            | SystemEvent.DEVBOX_SUSPENDED
            | SystemEvent.DEVBOX_SHUTDOWN
            | SystemEvent.DEVBOX_FAILED as kind
        ):
            status = _DEVBOX_STATES[SystemEvent(kind)]
            reason = text_at(payload, "reason")
            error = reason if status == "failed" else None
            detail = {k: v for k, v in payload.items() if k != "devbox_id"} or None
            return Heard([ComponentState("devbox", devbox, status, error, detail)])
        case _:
            return NOTHING


def _tool(event_type: str, payload: dict[str, Any]) -> list[Fact]:
    call_id = text_at(payload, "tool_call_id")
    if call_id is None:
        return []
    facts: list[Fact] = []
    if event_type == "turn.tool_call":
        facts.append(ToolCalled(call_id, text_at(payload, "title") or text_at(payload, "kind")))
    match text_at(payload, "status"):
        case "in_progress":
            facts.append(ToolBegan(call_id))
        case "completed":
            facts.append(ToolEnded(call_id, True))
        case "failed":
            facts.append(ToolEnded(call_id, False))
    return facts
