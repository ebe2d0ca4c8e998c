"""What Claude Code's streaming JSON says: whole lines, under their `type`.

A message comes up to twice: token by token (`stream_event`) and then whole (`assistant`, one line a
content block); its text is told once. Messages with `parent_tool_use_id` are a subagent's: their
tools are told, their text is not the agent's own.
"""

from collections import OrderedDict
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.views.facts import (
    NOTHING,
    Answered,
    Asked,
    BackgroundEnded,
    ComponentState,
    Fact,
    Heard,
    Heartbeat,
    ModelAnswered,
    ModelCalled,
    Named,
    Prompted,
    SessionOpened,
    Text,
    Thought,
    ToolBegan,
    ToolCalled,
    ToolDeferred,
    ToolEnded,
    Used,
    Verdict,
    Warned,
)
from ranvier.views.payloads import at, items_at, object_of, text_at, text_in

AGENT: Final = "Claude Code"
CAN_USE_TOOL: Final = "can_use_tool"
ELICITATION: Final = "elicitation"
_SUBAGENT_TOOLS: Final = frozenset({"Task", "Agent"})
_MESSAGES_MAX: Final = 64
"""Streamed messages that are remembered until their whole form comes."""


class ClaudeFacts:
    """Reads the Claude Code events of one axon, in their order."""

    def __init__(self) -> None:
        self._streamed: OrderedDict[str, None] = OrderedDict()
        self._message: str | None = None
        self._is_called = False
        self._finish_reason: str | None = None
        self._servers: dict[str, str] = {}
        self._background: set[str] = set()

    def read(self, event: AxonEvent) -> Heard:
        """The facts of one event whose type Claude Code knows."""
        payload = object_of(event.payload)
        session = text_at(payload, "session_id") or None
        if event.origin is Origin.USER:
            return Heard(self._user(event.event_type, payload), session)
        if event.origin is not Origin.AGENT:
            return NOTHING
        return Heard(self._agent(event.event_type, payload), session)

    def _user(self, kind: str, payload: dict[str, Any]) -> list[Fact]:
        if kind == "query":
            # A process has one session, whatever a prompt calls it (the published SDK: nothing).
            return [Prompted(None, len(text_in(at(payload, "message", "content"))))]
        if kind == "control_response" and (key := text_at(payload, "response", "request_id")):
            return [_answer(key, payload)]
        return []

    def _agent(self, kind: str, payload: dict[str, Any]) -> list[Fact]:
        match kind:
            case "system":
                return self._system(payload)
            case "stream_event":
                return self._streaming(payload)
            case "assistant":
                return self._whole(payload)
            case "user":
                return self._results(payload)
            case "result":
                self._is_called = False
                usage = payload.get("usage")
                return [Used(usage)] if isinstance(usage, dict) else []
            case "control_request":
                return _asked(payload)
            case "control_cancel_request":
                key = text_at(payload, "request_id")
                return [Answered(key, Verdict.CANCELLED, "withdrawn")] if key else []
            case "keep_alive":
                return [Heartbeat()]
            case _:
                return []

    def _system(self, payload: dict[str, Any]) -> list[Fact]:
        match payload.get("subtype"):
            case "init":
                return self._init(payload)
            case "status" if payload.get("status") == "requesting":
                self._is_called = True
                return [ModelCalled(None)]
            case "api_retry":
                why = text_at(payload, "error") or "the model could not be reached"
                tries = f"attempt {payload.get('attempt')} of {payload.get('max_retries')}"
                return [Warned("api_retry", f"{why} ({tries})")]
            case "permission_denied":
                call, reason = text_at(payload, "tool_use_id"), text_at(payload, "message")
                return [Answered(None, Verdict.DENY, reason, call)]
            case "task_started":
                return self._task_started(payload)
            case "task_notification":
                return self._task_over(payload)
            case _:
                return []

    def _init(self, payload: dict[str, Any]) -> list[Fact]:
        facts: list[Fact] = [Named(agent=AGENT, model=text_at(payload, "model"))]
        if session := text_at(payload, "session_id"):
            facts.append(SessionOpened(session))
        for server in items_at(payload, "mcp_servers"):
            name, status = text_at(server, "name"), text_at(server, "status")
            if name and status and self._servers.get(name) != status:
                self._servers[name] = status
                facts.append(ComponentState("mcp_server", name, status))
        return facts

    def _task_started(self, payload: dict[str, Any]) -> list[Fact]:
        call, ticket = text_at(payload, "tool_use_id"), text_at(payload, "task_id")
        if call is None or ticket is None or call not in self._background:
            return []
        return [ToolDeferred(call, ticket, "running", text_at(payload, "description"))]

    def _task_over(self, payload: dict[str, Any]) -> list[Fact]:
        call, ticket = text_at(payload, "tool_use_id"), text_at(payload, "task_id")
        if call is None or ticket is None or call not in self._background:
            return []
        self._background.discard(call)
        is_success = payload.get("status") == "completed"
        return [BackgroundEnded(call, ticket, is_success, text_at(payload, "summary"))]

    def _streaming(self, payload: dict[str, Any]) -> list[Fact]:
        event = at(payload, "event")
        if payload.get("parent_tool_use_id"):
            return []
        match at(event, "type"):
            case "message_start":
                self._message = text_at(event, "message", "id")
                was_called, self._is_called = self._is_called, False
                return [] if was_called else [ModelCalled(text_at(event, "message", "model"))]
            case "content_block_delta":
                return self._delta(at(event, "delta"))
            case "message_delta":
                self._finish_reason = text_at(event, "delta", "stop_reason")
                return []
            case "message_stop":
                return [ModelAnswered(self._finish_reason)]
            case _:
                return []

    def _delta(self, delta: Any) -> list[Fact]:
        if (text := text_at(delta, "text")) is None:
            return [Thought()] if at(delta, "type") == "thinking_delta" else []
        if self._message is not None:
            self._streamed[self._message] = None
            while len(self._streamed) > _MESSAGES_MAX:
                self._streamed.popitem(last=False)
        return [Text(text, self._message)]

    def _whole(self, payload: dict[str, Any]) -> list[Fact]:
        message, parent = text_at(payload, "message", "id"), text_at(payload, "parent_tool_use_id")
        facts: list[Fact] = []
        for block in items_at(payload, "message", "content"):
            if block.get("type") == "tool_use" and (call := text_at(block, "id")):
                facts.append(self._tool(call, block, parent))
            elif block.get("type") == "text" and message not in self._streamed and not parent:
                facts.append(Text(text_in(block), message))
        return facts

    def _tool(self, call: str, block: dict[str, Any], parent: str | None) -> ToolCalled:
        name = text_at(block, "name")
        if at(block, "input", "run_in_background") is True:
            self._background.add(call)
        subagent = text_at(block, "input", "subagent_type") if name in _SUBAGENT_TOOLS else None
        return ToolCalled(call, name, parent, subagent)

    def _results(self, payload: dict[str, Any]) -> list[Fact]:
        facts: list[Fact] = []
        for block in items_at(payload, "message", "content"):
            call = text_at(block, "tool_use_id")
            if block.get("type") != "tool_result" or call is None:
                continue
            text = text_in(block.get("content")) or None
            if block.get("is_error"):
                facts.append(ToolEnded(call, False, error=text))
            else:
                facts.append(ToolEnded(call, True, output=text))
        return facts


def _asked(payload: dict[str, Any]) -> list[Fact]:
    key, request = text_at(payload, "request_id"), at(payload, "request")
    subtype = text_at(request, "subtype")
    if key is None or subtype not in (CAN_USE_TOOL, ELICITATION):
        return []
    call, tool = text_at(request, "tool_use_id"), text_at(request, "tool_name")
    began: list[Fact] = [ToolBegan(call)] if call else []
    return [*began, Asked(key, subtype == CAN_USE_TOOL, call, tool)]


def _answer(key: str, payload: dict[str, Any]) -> Answered:
    response = at(payload, "response", "response")
    match text_at(response, "behavior"):
        case "allow":
            return Answered(key, Verdict.ALLOW)
        case "deny":
            return Answered(key, Verdict.DENY, text_at(response, "message"))
        case _:
            return Answered(key, Verdict.ANSWERED, text_at(response, "action"))
