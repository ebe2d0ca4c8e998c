"""The lines of Claude Code's stream-json, read and written (`typed_lines`).

Control messages go both ways; each carries the id of its request, and each kind keeps it elsewhere.
"""

from dataclasses import dataclass
from typing import Any

from ranvier_broker.codecs.jsonrpc import dump
from ranvier_broker.codecs.typed_lines import TypedLine, object_of, written


@dataclass(frozen=True, slots=True)
class Message(TypedLine):
    """One message."""

    @property
    def request(self) -> dict[str, Any]:
        """What a `control_request` asks."""
        return object_of(self.value.get("request"))

    @property
    def response(self) -> dict[str, Any]:
        """What a `control_response` answers."""
        return object_of(self.value.get("response"))

    @property
    def request_id(self) -> str | None:
        """The id that a control message carries, wherever its kind keeps it."""
        holder = self.response if self.kind == "control_response" else self.value
        found = holder.get("request_id")
        return found if isinstance(found, str) else None


def user(blocks: list[dict[str, Any]]) -> bytes:
    """A prompt of the broker's own."""
    message = {"role": "user", "content": blocks}
    return written({"type": "user", "message": message, "parent_tool_use_id": None})


def control_request(request_id: str, request: dict[str, Any]) -> bytes:
    """A control request of the broker's own."""
    return written({"type": "control_request", "request_id": request_id, "request": request})


def refusal(request_id: str, error: str) -> bytes:
    """The broker's answer to a control request of the agent that can be shown to nobody."""
    response = {"subtype": "error", "request_id": request_id, "error": error}
    return written({"type": "control_response", "response": response})


def nothing_to_interrupt(request_id: str) -> str:
    """The answer to an interrupt that came too late; Claude Code's own words when it is idle."""
    answer = {"subtype": "success", "request_id": request_id, "response": {"still_queued": []}}
    return dump({"type": "control_response", "response": answer})
