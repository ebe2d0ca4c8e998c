"""What differs between the agents' protocols for somebody at a terminal. Pure.

A prompt is a `user.message` in every protocol: the broker greets the agent, makes the session and
shows its words in neutral events. But a permission is asked and answered, and a turn cancelled, in
the protocol's own messages. Which protocol it is shows in what the agent says.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from ranvier.events import AxonEvent, Origin


class Protocol(StrEnum):
    """As `protocol` of a broker mount."""

    ACP = "acp"
    CLAUDE = "claude_json"
    CODEX = "codex_app_server"
    PI = "pi_json"


PERMISSION: Final = "session/request_permission"

OUTPUTS_MAX: Final = 64
"""Outputs of tools that are kept until somebody asks for them; the oldest goes first."""

_CLAUDE_TYPES: Final = frozenset(
    {"assistant", "control_request", "control_response", "result", "stream_event", "system", "user"}
)
_PI_TYPES: Final = frozenset(
    {"agent_start", "agent_settled", "message_update", "extension_ui_request"}
)
_PREFIXES: Final = {
    "session/": Protocol.ACP,
    "thread/": Protocol.CODEX,
    "turn/": Protocol.CODEX,
    "item/": Protocol.CODEX,
}


@dataclass(frozen=True, slots=True)
class Message:
    """An event that a client publishes to the agent."""

    event_type: str
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Question:
    """The agent asks whether it may do something. `always` allows it for the whole session."""

    sequence: int
    text: str
    allow: Message
    deny: Message
    always: Message | None = None
    call_id: str = ""
    """The tool call that it is about, where the protocol says so."""


class Dialect:
    """Learns from the agent's events which protocol is spoken."""

    def __init__(self) -> None:
        from ranvier.views.conversation import Conversation  # here: it brings pydantic

        self.protocol = Protocol.ACP
        self._view = Conversation()
        self._codex_turn: Mapping[str, Any] = {}
        self._outputs: dict[str, str] = {}

    def learn(self, event: AxonEvent) -> None:
        """Take the next event of the axon."""
        self._learn_outputs(event)
        if event.origin is not Origin.AGENT:
            return
        kind = event.event_type
        if kind in _CLAUDE_TYPES:
            self.protocol = Protocol.CLAUDE
        if kind in _PI_TYPES:
            self.protocol = Protocol.PI
        for prefix, protocol in _PREFIXES.items():
            if kind.startswith(prefix):
                self.protocol = protocol
        if kind == "turn/started":
            params = _member(payload_of(event), "params")
            turn_id = _member(params, "turn").get("id")
            self._codex_turn = {"threadId": params.get("threadId"), "turnId": turn_id}

    def output(self, call_id: str) -> str:
        """What a tool that has ended gave, or what was wrong with it; "" where nothing is known.
        It is told once."""
        return self._outputs.pop(call_id, "")

    def _learn_outputs(self, event: AxonEvent) -> None:
        from ranvier.views.facts import ToolEnded

        for fact in self._view.read(event).facts:
            if isinstance(fact, ToolEnded) and (told := fact.output or fact.error):
                self._outputs[fact.call_id] = told
        while len(self._outputs) > OUTPUTS_MAX:
            del self._outputs[next(iter(self._outputs))]

    def cancel(self, name: str) -> Message:
        """What cancels the running turn; `name` makes the request's id."""
        match self.protocol:
            case Protocol.ACP:
                return Message("session/cancel", {})
            case Protocol.CLAUDE:
                request = {"subtype": "interrupt"}
                frame = {"type": "control_request", "request_id": name, "request": request}
                return Message("control_request", frame)
            case Protocol.CODEX:
                frame = {"id": name, "method": "turn/interrupt", "params": self._codex_turn}
                return Message("turn/interrupt", frame)
            case Protocol.PI:
                return Message("cancel", {"id": name, "type": "abort"})


def question_of(event: AxonEvent) -> Question | None:
    """The question in an agent's event, if it asks for a permission."""
    if event.origin is not Origin.AGENT:
        return None
    payload = payload_of(event)
    if event.event_type == PERMISSION:
        return _acp(event.sequence, payload)
    if event.event_type == "control_request":
        return _claude(event.sequence, payload)
    if event.event_type.endswith("/requestApproval"):
        return _codex(event.sequence, payload)
    if event.event_type == "extension_ui_request" and payload.get("method") == "confirm":
        return _pi(event.sequence, payload)
    return None


def is_answer(question: Question, event: AxonEvent) -> bool:
    """Whether somebody's event answers the question."""
    if event.origin is not Origin.USER or event.sequence <= question.sequence:
        return False
    return event.event_type == question.allow.event_type and _reference(
        payload_of(event)
    ) == _reference(question.allow.payload)


def payload_of(event: AxonEvent) -> Mapping[str, Any]:
    """The payload as a JSON object; {} for anything else."""
    try:
        value = json.loads(event.payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _acp(sequence: int, params: Mapping[str, Any]) -> Question:
    options = params.get("options")
    by_kind: dict[str, Message] = {}
    for option in options if isinstance(options, list) else []:
        if isinstance(option, dict) and "optionId" in option:
            outcome = {"outcome": "selected", "optionId": option["optionId"]}
            by_kind.setdefault(str(option.get("kind")), Message(PERMISSION, {"outcome": outcome}))
    cancelled = Message(PERMISSION, {"outcome": {"outcome": "cancelled"}})
    always = by_kind.get("allow_always")
    return Question(
        sequence,
        str(_member(params, "toolCall").get("title") or "the agent's request"),
        by_kind.get("allow_once") or always or cancelled,
        by_kind.get("reject_once") or by_kind.get("reject_always") or cancelled,
        always,
        str(_member(params, "toolCall").get("toolCallId", "")),
    )


def _claude(sequence: int, frame: Mapping[str, Any]) -> Question | None:
    request = _member(frame, "request")
    if request.get("subtype") != "can_use_tool":
        return None
    inputs = _member(request, "input")
    what = inputs.get("command") or inputs.get("file_path") or request.get("description") or ""

    def answer(response: Mapping[str, Any]) -> Message:
        body = {"subtype": "success", "request_id": frame.get("request_id"), "response": response}
        return Message("control_response", {"type": "control_response", "response": body})

    return Question(
        sequence,
        f"{request.get('tool_name', 'a tool')} {what}".strip(),
        answer({"behavior": "allow", "updatedInput": dict(inputs)}),
        answer({"behavior": "deny", "message": "The user said no."}),
    )


def _codex(sequence: int, frame: Mapping[str, Any]) -> Question:
    params = _member(frame, "params")

    def answer(decision: str) -> Message:
        return Message("response", {"id": frame.get("id"), "result": {"decision": decision}})

    what = params.get("command") or params.get("reason") or frame.get("method") or "a command"
    return Question(
        sequence, str(what), answer("accept"), answer("decline"), answer("acceptForSession")
    )


def _pi(sequence: int, record: Mapping[str, Any]) -> Question:
    def answer(is_allowed: bool) -> Message:
        kind = "extension_ui_response"
        return Message(kind, {"type": kind, "id": record.get("id"), "confirmed": is_allowed})

    words = (record.get("title"), record.get("message"))
    text = " ".join(word for word in words if isinstance(word, str))
    return Question(sequence, text or "the agent's request", answer(True), answer(False))


def _member(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    member = value.get(name)
    return member if isinstance(member, dict) else {}


def _reference(payload: Mapping[str, Any]) -> Any:
    """By which an answer names its question: an id where the protocol has one, else nothing."""
    return payload.get("id") or _member(payload, "response").get("request_id")
