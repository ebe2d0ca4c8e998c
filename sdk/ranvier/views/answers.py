"""Answers to an agent's questions, and cancels, in the agent's own protocol.

A question is what `prompt.required` carries: the event's type and its payload. An answer is a
USER_EVENT; the broker gives it to the agent that asked.
"""

from collections.abc import Mapping
from typing import Any

from ranvier.resources.mounts import AgentProtocol
from ranvier.views import acp_facts, claude_facts, codex_facts, pi_facts
from ranvier.views.payloads import at, items_at, text_at

Answer = tuple[str, dict[str, Any]]
"""Event type and payload of the USER_EVENT."""


class NotAQuestion(ValueError):
    """The event asks for nothing of this kind."""


def permission(
    event_type: str,
    question: Mapping[str, Any],
    *,
    allow: bool,
    option_id: str | None = None,
    reason: str | None = None,
) -> Answer:
    """Allow or deny. `option_id` picks one of the offered options (ACP) or decisions (Codex);
    `reason` is told to the agent where its protocol can (Claude Code).

    Raises NotAQuestion when the event asks for no permission.
    """
    asked = dict(question)
    if event_type == acp_facts.PERMISSION:
        return event_type, {"outcome": _acp_outcome(asked, allow, option_id)}
    if text_at(asked, "request", "subtype") == claude_facts.CAN_USE_TOOL:
        if allow:
            return _claude(
                asked, {"behavior": "allow", "updatedInput": at(asked, "request", "input")}
            )
        return _claude(asked, {"behavior": "deny", "message": reason or "The user refused."})
    if codex_facts.is_approval(event_type):
        decision = option_id or ("accept" if allow else "decline")
        return "response", {"id": asked.get("id"), "result": {"decision": decision}}
    if event_type == pi_facts.ASKED and asked.get("method") == pi_facts.PERMISSION:
        return _pi(asked, {"confirmed": allow})
    raise NotAQuestion(f"{event_type} asks for no permission.")


def human_input(event_type: str, question: Mapping[str, Any], content: Any) -> Answer:
    """Give what a form or a question asks for; None declines.

    Raises NotAQuestion when the event asks for no input.
    """
    asked = dict(question)
    answer = {"action": "decline"} if content is None else {"action": "accept", "content": content}
    if event_type in acp_facts.INPUT_METHODS:
        return event_type, answer
    if text_at(asked, "request", "subtype") == claude_facts.ELICITATION:
        return _claude(asked, answer)
    if event_type == "item/tool/requestUserInput":
        return "response", {"id": asked.get("id"), "result": {"answers": content or {}}}
    if event_type in codex_facts.INPUT_METHODS:
        return "response", {"id": asked.get("id"), "result": answer}
    if event_type == pi_facts.ASKED and asked.get("method") in pi_facts.INPUT_METHODS:
        return _pi(asked, {"cancelled": True} if content is None else {"value": content})
    raise NotAQuestion(f"{event_type} asks for no input.")


def cancellation(protocol: AgentProtocol, request_id: str) -> Answer:
    """The event that cancels the open turn, whatever its session. `request_id` is any new id."""
    match protocol:
        case AgentProtocol.CLAUDE_JSON:
            request = {"subtype": "interrupt"}
            frame = {"type": "control_request", "request_id": request_id, "request": request}
            return "control_request", frame
        case AgentProtocol.CODEX_JSON | AgentProtocol.CODEX_APP_SERVER:
            return "turn/interrupt", {"id": request_id, "method": "turn/interrupt", "params": {}}
        case AgentProtocol.PI_JSON:
            return "cancel", {"id": request_id, "type": "abort"}
        case _:
            return "session/cancel", {}


def _acp_outcome(asked: dict[str, Any], allow: bool, option_id: str | None) -> dict[str, Any]:
    word = "allow" if allow else "reject"
    options = items_at(asked, "options")
    # "Once" before "always": an answer to one question should not settle those to come.
    fitting = [
        o for kind in ("once", "always") for o in options if o.get("kind") == f"{word}_{kind}"
    ]
    chosen = option_id or next((text_at(option, "optionId") for option in fitting), None)
    if chosen is None:
        return {"outcome": "cancelled"}
    return {"outcome": "selected", "optionId": chosen}


def _claude(asked: dict[str, Any], response: dict[str, Any]) -> Answer:
    request_id = asked.get("request_id")
    about = {"subtype": "success", "request_id": request_id, "response": response}
    return "control_response", {"type": "control_response", "response": about}


def _pi(asked: dict[str, Any], answer: dict[str, Any]) -> Answer:
    return pi_facts.ANSWERED, {"type": pi_facts.ANSWERED, "id": asked.get("id"), **answer}
