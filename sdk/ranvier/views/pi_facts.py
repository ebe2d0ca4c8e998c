"""What Pi says in RPC mode: whole records, under their `type`.

A message comes in pieces (`message_update`) and then whole (`message_end`); its text is told once.
Pi names no session in its events: a process is in one at a time. Tokens are counted per answer, and
summed up only in the turn's end, which the broker writes.
"""

from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.views.facts import (
    NOTHING,
    Answered,
    Asked,
    Fact,
    Heard,
    ModelAnswered,
    ModelCalled,
    Named,
    Prompted,
    Text,
    Thought,
    ToolBegan,
    ToolCalled,
    ToolEnded,
    Verdict,
    Warned,
)
from ranvier.views.payloads import at, items_at, object_of, text_at, text_in

AGENT: Final = "Pi"
ASKED: Final = "extension_ui_request"
ANSWERED: Final = "extension_ui_response"
PERMISSION: Final = "confirm"
"""The method of a dialog that wants a yes or a no."""

INPUT_METHODS: Final = frozenset({"select", "input", "editor"})
"""Methods of dialogs that want a value."""


class PiFacts:
    """Reads the Pi events of one axon, in their order."""

    def __init__(self) -> None:
        self._messages = 0
        self._has_streamed = False
        self._open: set[str] = set()

    def read(self, event: AxonEvent) -> Heard:
        """The facts of one event whose type Pi knows."""
        record = object_of(event.payload)
        if event.origin is Origin.USER:
            return Heard(self._user(event.event_type, record))
        return Heard(self._agent(record)) if event.origin is Origin.AGENT else NOTHING

    def _user(self, event_type: str, record: dict[str, Any]) -> list[Fact]:
        if event_type == "turn/start":
            return [Prompted(None, len(text_at(record, "message") or ""))]
        key = text_at(record, "id")
        if event_type == ANSWERED and key is not None and key in self._open:
            self._open.discard(key)
            return [_answer(key, record)]
        return []

    def _agent(self, record: dict[str, Any]) -> list[Fact]:
        match record.get("type"):
            case "response" if text_at(record, "data", "model", "id"):
                return [Named(agent=AGENT, model=text_at(record, "data", "model", "id"))]
            case "agent_start":
                return [Named(agent=AGENT)]
            case "turn_start":
                return [ModelCalled(None)]
            case "message_start" if text_at(record, "message", "role") == "assistant":
                self._messages, self._has_streamed = self._messages + 1, False
                return [Named(agent=AGENT, model=text_at(record, "message", "model"))]
            case "message_update":
                return self._update(at(record, "assistantMessageEvent"))
            case "message_end" if text_at(record, "message", "role") == "assistant":
                return self._whole(record["message"])
            case "extension_ui_request":
                return self._asked(record)
            case kind:
                return _tool(kind, record) or _notice(kind, record)

    def _update(self, event: Any) -> list[Fact]:
        match text_at(event, "type"):
            case "text_delta":
                self._has_streamed = True
                return [Text(text_at(event, "delta") or "", str(self._messages))]
            case "thinking_delta":
                return [Thought()]
            case "toolcall_start" if (call := text_at(event, "id")) is not None:
                return [ToolCalled(call, text_at(event, "toolName"))]
            case _:
                return []

    def _whole(self, message: Any) -> list[Fact]:
        facts: list[Fact] = []
        for block in items_at(message, "content"):
            if block.get("type") == "toolCall" and (call := text_at(block, "id")) is not None:
                facts.append(ToolCalled(call, text_at(block, "name")))
            elif block.get("type") == "text" and not self._has_streamed:
                facts.append(Text(text_in(block), str(self._messages)))
        return [*facts, ModelAnswered(text_at(message, "stopReason"))]

    def _asked(self, record: dict[str, Any]) -> list[Fact]:
        key, method = text_at(record, "id"), text_at(record, "method")
        if key is None or not (method == PERMISSION or method in INPUT_METHODS):
            return []
        self._open.add(key)
        return [Asked(key, method == PERMISSION)]


def _tool(kind: Any, record: dict[str, Any]) -> list[Fact]:
    call = text_at(record, "toolCallId")
    if call is None:
        return []
    match kind:
        case "tool_execution_start":
            return [ToolBegan(call)]
        case "tool_execution_end":
            text = text_in(at(record, "result", "content")) or None
            if record.get("isError") is True:
                return [ToolEnded(call, False, error=text)]
            return [ToolEnded(call, True, output=text)]
        case _:
            return []


def _notice(kind: Any, record: dict[str, Any]) -> list[Fact]:
    match kind:
        case "auto_retry_start":
            why = text_at(record, "errorMessage") or "the model could not be reached"
            tries = f"attempt {record.get('attempt')} of {record.get('maxAttempts')}"
            return [Warned("auto_retry", f"{why} ({tries})")]
        case "extension_error":
            return [Warned("extension_error", text_at(record, "error") or "an extension failed")]
        case _:
            return []


def _answer(key: str, record: dict[str, Any]) -> Answered:
    if record.get("cancelled") is True:
        return Answered(key, Verdict.CANCELLED)
    match record.get("confirmed"):
        case True:
            return Answered(key, Verdict.ALLOW)
        case False:
            return Answered(key, Verdict.DENY)
        case _:
            return Answered(key, Verdict.ANSWERED)
