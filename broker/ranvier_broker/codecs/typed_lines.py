"""Messages that are one JSON object on one line with a `type`: Claude Code's and Pi's way.

What comes in is kept as the text that it was. Nothing is written to an agent that was not read
before, as there are agents that end themselves on a line which is no JSON.
"""

from dataclasses import dataclass
from typing import Any, Self

from ranvier_broker.codecs.jsonrpc import (
    EXCERPT_CHARACTERS,
    NotAMessage,
    dump,
    one_line,
    value_of,
)


@dataclass(frozen=True, slots=True)
class TypedLine:
    """One message; `text` is its whole line."""

    kind: str
    text: str
    value: dict[str, Any]

    @property
    def line(self) -> bytes:
        """For the agent's stdin."""
        return self.text.encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self | NotAMessage:
        """Read a line of the agent. One that makes no sense is a value too, no exception."""
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
        return cls(kind, text, value)

    @classmethod
    def of_client(cls, payload: str) -> Self | None:
        """A client's payload as a message on one line; None if it is none."""
        try:
            raw = one_line(payload)
        except ValueError:
            return None
        kind = raw.value.get("type") if isinstance(raw.value, dict) else None
        return cls(kind, raw.text, raw.value) if isinstance(kind, str) else None


def written(value: dict[str, Any]) -> bytes:
    """A message of the broker's own, for the agent's stdin."""
    return dump(value).encode() + b"\n"


def object_of(value: Any) -> dict[str, Any]:
    """A JSON object, empty where there is none."""
    return value if isinstance(value, dict) else {}
