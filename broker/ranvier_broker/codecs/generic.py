"""Turns in no agent's protocol: `user.message` and events of external systems (seeds 000, 002).

Their text becomes a prompt in the broker's own words, and what the agent says in them is shown in
the protocol-neutral events `turn.message_chunk` and `turn.tool_call(_update)` besides the agent's
own messages.
"""

from typing import Any, Final

from ranvier.events import AxonEvent, Origin

from ranvier_broker.codecs.base import Said
from ranvier_broker.codecs.jsonrpc import dump, value_of

USER_MESSAGE: Final = "user.message"


def is_generic(event: AxonEvent) -> bool:
    """Whether the event starts a turn in which the broker speaks on the sender's behalf."""
    return event.origin is Origin.EXTERNAL or event.event_type == USER_MESSAGE


def prompt_blocks(event: AxonEvent) -> list[dict[str, Any]]:
    """The event as content blocks; ACP and Claude write a text block alike."""
    if event.event_type == USER_MESSAGE and event.origin is Origin.USER:
        return _user_blocks(event.payload)
    text = f"An external event arrived: {event.event_type} from {event.source}. Its payload:\n\n"
    return [_text(text + event.payload)]


class NeutralView:
    """One generic turn, shown in neutral events."""

    def __init__(self, turn_id: str) -> None:
        self._turn_id = turn_id
        self._tools: set[str] = set()

    def chunk(self, text: str) -> Said:
        """Some of the agent's words."""
        return Said("turn.message_chunk", dump({"content": text}))

    def knows_tool(self, call_id: str) -> bool:
        """Whether this tool call was shown before."""
        return call_id in self._tools

    def tool(self, call_id: str, **members: str) -> Said:
        """A tool call at first sight, wherever it is seen first, or what became of it.

        `members`: any of title, kind and status.
        """
        event_type = "turn.tool_call_update" if call_id in self._tools else "turn.tool_call"
        self._tools.add(call_id)
        payload = {"turn_id": self._turn_id, "tool_call_id": call_id, **members}
        return Said(event_type, dump(payload), Origin.SYSTEM)


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
