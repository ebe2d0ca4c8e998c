"""What a turn has brought: its text, its tools, what it used. The terminal repeats it whole."""

from dataclasses import dataclass, field
from typing import Any, Final

from ranvier.views.facts import Fact, Text, ToolCalled, ToolEnded, Used

RESPONSE_CHARACTERS_MAX: Final = 4 * 1024 * 1024
"""Text of one turn that its terminal repeats; what lies beyond is in its `turn.event`s."""

TOOL_CALLS_MAX: Final = 1_000
"""Tool calls of one turn that its terminal lists."""


@dataclass(slots=True)
class TurnResult:
    """What the open turn has brought so far."""

    text: list[str] = field(default_factory=list)
    characters: int = 0
    messages: int = 0
    last_message: str | None = None
    is_in_message: bool = False
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    usage: Any = None

    def take(self, fact: Fact) -> None:
        """Take in one fact of the turn."""
        match fact:
            case Text(delta, message):
                self._say(delta, message)
            case ToolCalled(call_id, name):
                self.is_in_message = False
                if call_id not in self.tools and len(self.tools) < TOOL_CALLS_MAX:
                    self.tools[call_id] = _tool(call_id, name)
            case ToolEnded(call_id, is_success):
                if call_id not in self.tools and len(self.tools) < TOOL_CALLS_MAX:
                    self.tools[call_id] = _tool(call_id, None)
                if call_id in self.tools:
                    self.tools[call_id]["success"] = is_success
            case Used(usage):
                self.usage = usage

    def _say(self, delta: str, message: str | None) -> None:
        if not self.is_in_message or message != self.last_message:
            self.messages += 1
        self.is_in_message, self.last_message = True, message
        kept = delta[: RESPONSE_CHARACTERS_MAX - self.characters]
        self.characters += len(kept)
        self.text.append(kept)


def _tool(call_id: str, name: str | None) -> dict[str, Any]:
    return {"tool_call_id": call_id, "tool_name": name, "success": None}
