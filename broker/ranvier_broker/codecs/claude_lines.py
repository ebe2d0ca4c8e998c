"""The lines of Claude Code's stream-json: what comes in is kept as the text that it was.

A message is one JSON object on one line with a `type`. Claude Code ends itself on a line that is no
JSON, so nothing is written to it that was not read before.
"""

from dataclasses import dataclass
from typing import Any

from ranvier_broker.codecs.jsonrpc import (
    EXCERPT_CHARACTERS,
    NotAMessage,
    dump,
    one_line,
    value_of,
)


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `text` is its whole line."""

    kind: str
    text: str
    value: dict[str, Any]

    @property
    def line(self) -> bytes:
        """For the agent's stdin."""
        return self.text.encode() + b"\n"

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


def read(line: bytes) -> Message | NotAMessage:
    """Read a line of the agent. One that makes no sense is a value too, never an exception."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return NotAMessage("not UTF-8", line[:EXCERPT_CHARACTERS].decode(errors="replace"))
    try:
        value = value_of(text)
    except ValueError:
        return NotAMessage("not JSON", text[:EXCERPT_CHARACTERS])
    kind = value.get("type") if isinstance(value, dict) else None
    if not isinstance(kind, str):
        return NotAMessage("not an object with a type", text[:EXCERPT_CHARACTERS])
    return Message(kind, text, value)


def of_client(payload: str) -> Message | None:
    """A client's payload as a message on one line; None if it is none."""
    try:
        raw = one_line(payload)
    except ValueError:
        return None
    kind = raw.value.get("type") if isinstance(raw.value, dict) else None
    return Message(kind, raw.text, raw.value) if isinstance(kind, str) else None


def user(blocks: list[dict[str, Any]]) -> bytes:
    """A prompt of the broker's own."""
    message = {"role": "user", "content": blocks}
    return _line({"type": "user", "message": message, "parent_tool_use_id": None})


def control_request(request_id: str, request: dict[str, Any]) -> bytes:
    """A control request of the broker's own."""
    return _line({"type": "control_request", "request_id": request_id, "request": request})


def refusal(request_id: str, error: str) -> bytes:
    """The broker's answer to a control request of the agent that can be shown to nobody."""
    response = {"subtype": "error", "request_id": request_id, "error": error}
    return _line({"type": "control_response", "response": response})


def nothing_to_interrupt(request_id: str) -> str:
    """The answer to an interrupt that came too late; Claude Code's own words when it is idle."""
    answer = {"subtype": "success", "request_id": request_id, "response": {"still_queued": []}}
    return dump({"type": "control_response", "response": answer})


def _line(value: dict[str, Any]) -> bytes:
    return dump(value).encode() + b"\n"


def object_of(value: Any) -> dict[str, Any]:
    """A JSON object, empty where there is none."""
    return value if isinstance(value, dict) else {}
