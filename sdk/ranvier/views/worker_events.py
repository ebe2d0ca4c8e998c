"""The runtime events that workers receive (seed 003), projected from an axon's journal.

Thirteen kinds stand in the reserved namespaces; any other event keeps its type as its kind. A turn
gives `turn.accepted`, `turn.started` and exactly one terminal, which carries the whole result.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import AxonEvent, Origin, SystemEvent
from ranvier.views.conversation import Conversation, Moment
from ranvier.views.facts import (
    Asked,
    Capabilities,
    ComponentState,
    Fact,
    Heartbeat,
    SessionClosed,
    SessionOpened,
    Warned,
)
from ranvier.views.payloads import object_of, text_at, value_of
from ranvier.views.protocols import USER_MESSAGE, protocol_of
from ranvier.views.turn_result import TurnResult

RESERVED_NAMESPACES: Final = frozenset(
    {"turn", "prompt", "session", "transport", "capabilities", "component"}
)
"""First words of kinds that only the runtime emits (seed 003)."""

NOTIFICATION: Final = "notification"
"""Event type of a message to the people who watch an axon; workers do not receive it."""


@dataclass(frozen=True, slots=True)
class EventEnvelope:
    """One runtime event. `session_id` is None for what belongs to no session.

    `sequence` is that of the journal event it was made of, `dedupe_key` the same on every delivery
    and different for every event, `timestamp_ms` the journal's.
    """

    kind: str
    session_id: str | None
    payload: dict[str, Any]
    axon_id: str = ""
    sequence: int = 0
    timestamp_ms: int = 0
    dedupe_key: str = ""


class WorkerEvents:
    """Makes envelopes of one axon's events; `memory` is what an earlier one gave."""

    def __init__(self, memory: Mapping[str, Any] | None = None) -> None:
        self._conversation = Conversation(memory)
        self._results: dict[str, TurnResult] = {}

    @property
    def is_quiet(self) -> bool:
        """Whether no turn is open, so that `memory` is enough to go on from here."""
        return self._conversation.is_quiet

    def memory(self) -> dict[str, Any]:
        """What a later one must know to read on from here, as JSON."""
        return self._conversation.memory()

    def read(self, event: AxonEvent) -> list[EventEnvelope]:
        """The runtime events of the next journal event, in their order."""
        moment = self._conversation.read(event)
        session = moment.session or (moment.turn.session if moment.turn else None)
        session = session or (moment.turn.heard_session if moment.turn else None)
        made: list[EventEnvelope] = []
        for kind, payload in self._kinds(moment):
            own = text_at(payload, "session_id") or session
            again = sum(envelope.kind == kind for envelope in made)
            key = f"{event.axon_id}:{event.sequence}:{kind}" + (f":{again}" if again else "")
            made.append(
                EventEnvelope(
                    kind, own, payload, event.axon_id, event.sequence, event.timestamp_ms, key
                )
            )
        return made

    def _kinds(self, moment: Moment) -> Iterator[tuple[str, dict[str, Any]]]:
        event, turn = moment.event, moment.turn
        if moment.accepted is not None:
            yield "turn.accepted", self._accepted(moment)
        if moment.started and turn is not None:
            self._results[turn.turn_id] = TurnResult()
            yield (
                "turn.started",
                {"agent": self._conversation.agent, "model": self._conversation.model},
            )
        if turn is not None and not moment.started and not moment.ended:
            for fact in moment.facts:
                self._results[turn.turn_id].take(fact)
        for fact in moment.facts:
            yield from _of_fact(fact, event)
        if turn is not None and event.origin is Origin.AGENT:
            yield "turn.event", _raw(event)
        if moment.ended and turn is not None:
            yield self._ended(moment, self._results.pop(turn.turn_id))
        if _is_custom(event):
            yield event.event_type, _custom(event)

    def _accepted(self, moment: Moment) -> dict[str, Any]:
        return {
            "agent": self._conversation.agent,
            "model": self._conversation.model,
            "reset": moment.is_new_session,
            "message_length": moment.accepted.length if moment.accepted else 0,
            "queue_depth": moment.depth,
        }

    def _ended(self, moment: Moment, result: TurnResult) -> tuple[str, dict[str, Any]]:
        event, turn = moment.event, moment.turn
        ended = object_of(event.payload)
        started_ms = turn.started_ms if turn else event.timestamp_ms
        about = {
            "turn_id": turn.turn_id if turn else None,
            "duration_ms": max(0, event.timestamp_ms - started_ms),
        }
        text, tools = "".join(result.text), list(result.tools.values())
        match event.event_type:
            case SystemEvent.TURN_COMPLETED:
                usage = ended.get("usage", result.usage)
                return "turn.completed", {
                    **about,
                    "response_text": text,
                    "tool_calls": tools,
                    "usage": usage,
                    "agent": self._conversation.agent,
                    "message_count": result.messages,
                }
            case SystemEvent.TURN_FAILED:
                error = {
                    "type": text_at(ended, "reason") or "failed",
                    "message": text_at(ended, "error") or "",
                }
                return "turn.failed", {
                    **about,
                    "error": error,
                    "partial_response": text,
                    "tool_calls_attempted": tools,
                }
            case _:
                reason = text_at(ended, "reason") or text_at(ended, "stop_reason") or "cancelled"
                return "turn.cancelled", {**about, "reason": reason, "partial_response": text}


def is_reserved(kind: str) -> bool:
    """Whether only the runtime may emit this kind."""
    return kind.partition(".")[0] in RESERVED_NAMESPACES


def _of_fact(fact: Fact, event: AxonEvent) -> Iterator[tuple[str, dict[str, Any]]]:
    match fact:
        case Asked():
            yield "prompt.required", _raw(event)
        case SessionOpened(session):
            yield "session.created", {"session_id": session}
        case SessionClosed(session):
            yield "session.deleted", {"session_id": session}
        case Warned(code, message):
            # Nothing is kept in step with another platform here, so its state is not known.
            yield "session.warning", {"code": code, "message": message, "sync_status": None}
        case Capabilities(count):
            yield "capabilities.reloaded", {"capability_count": count}
        case ComponentState(kind, name, status, error, detail):
            yield (
                "component.state_changed",
                {
                    "capability": None,
                    "kind": kind,
                    "name": name,
                    "status": status,
                    "error": error,
                    "detail": detail,
                },
            )
        case Heartbeat():
            yield "transport.heartbeat", _raw(event)


def _is_custom(event: AxonEvent) -> bool:
    if event.origin is Origin.SYSTEM or is_reserved(event.event_type):
        return False
    if event.origin is Origin.EXTERNAL:
        return True
    is_message = event.event_type in (USER_MESSAGE, NOTIFICATION)
    return protocol_of(event) is None and not is_message


def _raw(event: AxonEvent) -> dict[str, Any]:
    value = value_of(event.payload)
    raw = value if isinstance(value, dict) else event.payload
    return {"event_type": event.event_type, "raw_event": raw}


def _custom(event: AxonEvent) -> dict[str, Any]:
    value = value_of(event.payload)
    return value if isinstance(value, dict) else {"raw_event": event.payload}
