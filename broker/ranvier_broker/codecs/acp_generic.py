"""Turns not spoken in ACP: `user.message` and events of external systems (seeds 000, 002).

Their text becomes a prompt in the broker's own words, and what the agent says in them is shown in
the protocol-neutral events `turn.message_chunk` and `turn.tool_call(_update)` besides ACP's own.
"""

from typing import Any, Final

from ranvier.events import AxonEvent, Origin

from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.jsonrpc import dump, value_of

USER_MESSAGE: Final = "user.message"

GREETING: Final = {
    "protocolVersion": 1,
    "clientCapabilities": {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
    },
    "clientInfo": {"name": "ranvier-broker", "version": "1"},
}
"""How the broker greets an agent that no client has greeted."""


def is_generic(event: AxonEvent) -> bool:
    """Whether the event starts a turn in which the broker speaks ACP on the sender's behalf."""
    return event.origin is Origin.EXTERNAL or event.event_type == USER_MESSAGE


def prompt_blocks(event: AxonEvent) -> list[dict[str, Any]]:
    """The event as ACP content blocks."""
    if event.event_type == USER_MESSAGE and event.origin is Origin.USER:
        return _user_blocks(event.payload)
    text = f"An external event arrived: {event.event_type} from {event.source}. Its payload:\n\n"
    return [_text(text + event.payload)]


def _user_blocks(payload: str) -> list[dict[str, Any]]:
    try:
        value = value_of(payload)
    except ValueError:
        return [_text(payload)]
    content = value.get("content") if isinstance(value, dict) else value
    if isinstance(content, str):
        return [_text(content)]
    if isinstance(content, list) and content and all(_is_block(block) for block in content):
        return content
    return [_text(payload)]


def _is_block(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("type"), str)


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


class GenericView:
    """One generic turn, shown in neutral events."""

    def __init__(self, turn_id: str) -> None:
        self._turn_id = turn_id
        self._tools: set[str] = set()

    def update(self, update: Any) -> list[Said]:
        """What a `session/update` shows besides itself."""
        if not isinstance(update, dict):
            return []
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                return self._chunk(update.get("content"))
            case "tool_call" | "tool_call_update":
                return self.tool(update)
            case _:
                return []

    def tool(self, call: Any) -> list[Said]:
        """A tool call at first sight, wherever it is seen first, or what became of it."""
        call_id = call.get("toolCallId") if isinstance(call, dict) else None
        if not isinstance(call_id, str):
            return []
        event_type = "turn.tool_call_update" if call_id in self._tools else "turn.tool_call"
        self._tools.add(call_id)
        payload = {"turn_id": self._turn_id, "tool_call_id": call_id}
        for member in ("title", "kind", "status"):
            if isinstance(call.get(member), str):
                payload[member] = call[member]
        return [Said(event_type, dump(payload), Origin.SYSTEM)]

    def asked(self, params: Any) -> list[Said]:
        """The tool call that a permission request names: shown if it was not seen before."""
        call = params.get("toolCall") if isinstance(params, dict) else None
        call_id = call.get("toolCallId") if isinstance(call, dict) else None
        return [] if call_id in self._tools else self.tool(call)

    def _chunk(self, content: Any) -> list[Said]:
        text = content.get("text") if isinstance(content, dict) else None
        if not isinstance(text, str):
            return []
        return [Said("turn.message_chunk", dump({"content": text}))]
