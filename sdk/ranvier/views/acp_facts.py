"""What ACP messages on an axon say: bare params and results under the method's name.

An answer carries neither id nor session: it belongs to the oldest open request of its method, as in
the broker. Schema: ACP v1; unknown updates and methods are passed over.
"""

from collections import deque
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.views.facts import (
    NOTHING,
    Answered,
    Asked,
    Capabilities,
    Fact,
    Heard,
    Named,
    Prompted,
    SessionClosed,
    SessionOpened,
    Text,
    Thought,
    ToolBegan,
    ToolCalled,
    ToolEnded,
    Used,
    Verdict,
)
from ranvier.views.payloads import at, items_at, object_of, text_at, text_in

PERMISSION: Final = "session/request_permission"
INPUT_METHODS: Final = frozenset({"session/elicitation", "elicitation/create"})
"""Methods with which an agent asks a person for input (a form, a link)."""

_OPENING: Final = frozenset({"session/new", "session/fork"})
_RESTORING: Final = frozenset({"session/load", "session/resume"})
_REMEMBERED: Final = frozenset({"session/delete", "session/set_model"})
_REQUESTS_MAX: Final = 64
"""Unanswered requests of one method that are remembered; older ones are forgotten."""


class AcpFacts:
    """Reads the ACP events of one axon, in their order."""

    def __init__(self) -> None:
        self._requests: dict[str, deque[dict[str, Any]]] = {}
        self._questions: dict[str, dict[str, Any]] = {}

    def read(self, event: AxonEvent) -> Heard:
        """The facts of one event whose type ACP knows."""
        payload = object_of(event.payload)
        if event.origin is Origin.AGENT:
            return self._agent(event.event_type, payload)
        if event.origin is Origin.USER:
            return self._user(event.event_type, payload)
        return NOTHING

    def refused(self, method: str) -> None:
        """The oldest open request of the method failed."""
        if waiting := self._requests.get(method):
            waiting.popleft()

    def _user(self, method: str, payload: dict[str, Any]) -> Heard:
        session = text_at(payload, "sessionId")
        if method == "session/prompt":
            return Heard([Prompted(session, len(text_in(payload.get("prompt"))))], session)
        if method in _REMEMBERED:
            self._requests.setdefault(method, deque(maxlen=_REQUESTS_MAX)).append(payload)
        if method in self._questions:
            asked = self._questions.pop(method)
            return Heard([_answer(method, asked, payload)], text_at(asked, "sessionId"))
        return Heard([], session)

    def _agent(self, method: str, payload: dict[str, Any]) -> Heard:
        session = text_at(payload, "sessionId")
        if method == "session/update":
            update = at(payload, "update")
            return Heard(_updated(update) if isinstance(update, dict) else [], session)
        if method == "initialize":
            info = at(payload, "agentInfo")
            return Heard([Named(agent=text_at(info, "title") or text_at(info, "name"))])
        if method in _OPENING and session is not None:
            return Heard([SessionOpened(session), Named(model=_model(payload))], session)
        if method in _RESTORING:
            return Heard([Named(model=_model(payload))])
        if method == "session/prompt":
            usage = payload.get("usage")
            return Heard([Used(usage)] if isinstance(usage, dict) else [])
        if method in _REMEMBERED:
            return self._answered(method)
        if method == PERMISSION or method in INPUT_METHODS:
            return self._asked(method, payload, session)
        return Heard([], session)

    def _answered(self, method: str) -> Heard:
        waiting = self._requests.get(method)
        if not waiting:
            return NOTHING
        asked = waiting.popleft()
        session = text_at(asked, "sessionId")
        if method == "session/delete" and session is not None:
            return Heard([SessionClosed(session)], session)
        return Heard([Named(model=text_at(asked, "modelId"))], session)

    def _asked(self, method: str, payload: dict[str, Any], session: str | None) -> Heard:
        call = at(payload, "toolCall")
        facts: list[Fact] = []
        if (call_id := text_at(call, "toolCallId")) is not None:
            facts = [ToolCalled(call_id, _tool_name(call)), ToolBegan(call_id)]
        if method in self._questions:
            # The broker shows one question of a method at a time: the earlier one was withdrawn.
            facts.insert(0, Answered(method, Verdict.CANCELLED))
        self._questions[method] = payload
        is_permission = method == PERMISSION
        return Heard([*facts, Asked(method, is_permission, call_id, _tool_name(call))], session)


def _updated(update: dict[str, Any]) -> list[Fact]:
    call_id = text_at(update, "toolCallId")
    match update.get("sessionUpdate"):
        case "agent_message_chunk":
            return [Text(text_in(update.get("content")), text_at(update, "messageId"))]
        case "agent_thought_chunk":
            return [Thought()]
        case "tool_call" if call_id is not None:
            return [ToolCalled(call_id, _tool_name(update)), *_progress(call_id, update)]
        case "tool_call_update" if call_id is not None:
            return _progress(call_id, update)
        case "available_commands_update":
            return [Capabilities(len(items_at(update, "availableCommands")))]
        case "config_option_update":
            return [Named(model=_model(update))]
        case _:
            return []


def _progress(call_id: str, update: dict[str, Any]) -> list[Fact]:
    match update.get("status"):
        case "in_progress":
            return [ToolBegan(call_id)]
        case "completed":
            return [ToolEnded(call_id, True, output=_output(update))]
        case "failed":
            return [ToolEnded(call_id, False, error=_output(update))]
        case _:
            return []


def _output(update: dict[str, Any]) -> str | None:
    raw = update.get("rawOutput")
    output = raw if isinstance(raw, str) else text_at(raw, "output") or text_at(raw, "error")
    return output or text_in(update.get("content")) or None


def _tool_name(call: Any) -> str | None:
    claude = text_at(call, "_meta", "claudeCode", "toolName")
    return text_at(call, "name") or claude or text_at(call, "title") or text_at(call, "kind")


def _model(result: dict[str, Any]) -> str | None:
    for option in items_at(result, "configOptions"):
        if option.get("id") == "model":
            return text_at(option, "currentValue")
    return text_at(result, "models", "currentModelId")


def _answer(method: str, asked: dict[str, Any], payload: dict[str, Any]) -> Answered:
    call_id = text_at(asked, "toolCall", "toolCallId")
    if method != PERMISSION:
        action = text_at(payload, "action") or text_at(payload, "outcome", "outcome")
        is_cancel = action in ("cancel", "cancelled", "decline")
        return Answered(method, Verdict.CANCELLED if is_cancel else Verdict.ANSWERED, action)
    chosen = text_at(payload, "outcome", "optionId")
    for option in items_at(asked, "options"):
        if chosen is not None and option.get("optionId") == chosen:
            is_allowed = str(option.get("kind", "")).startswith("allow")
            verdict = Verdict.ALLOW if is_allowed else Verdict.DENY
            return Answered(method, verdict, text_at(option, "name"), call_id)
    return Answered(method, Verdict.CANCELLED, call_id=call_id)
