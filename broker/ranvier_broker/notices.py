"""The events that the broker writes in its own name, one function a kind; keys are snake_case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import NewEvent, Origin, SystemEvent

from ranvier_broker.codecs.jsonrpc import dump
from ranvier_broker.codecs.speech import fits as fits_payload

SOURCE: Final = "broker"

TEXT_CHARACTERS_MAX: Final = 64 * 1024
"""Of an agent's error or stop reason: beyond that it is no message to people any more."""

NAME_CHARACTERS_MAX: Final = 512
"""Of an event's type: agents name methods, and one could name anything."""


@dataclass(frozen=True, slots=True)
class WakeTimes:
    """When the phases of a start were over, in milliseconds since the epoch."""

    broker_started_ms: int
    attached_ms: int
    agent_started_ms: int
    agent_ready_ms: int


def turn_started(turn_id: str, trigger: int) -> NewEvent:
    return _system(SystemEvent.TURN_STARTED, {"turn_id": turn_id, "trigger_sequence": trigger})


def turn_completed(
    turn_id: str, stop_reason: str | None, usage: Mapping[str, Any] | None
) -> NewEvent:
    payload: dict[str, Any] = {"turn_id": turn_id, "stop_reason": _text(stop_reason or "unknown")}
    if usage is not None and fits_payload(dump(usage)):
        payload["usage"] = usage
    return _system(SystemEvent.TURN_COMPLETED, payload)


def turn_cancelled(turn_id: str, stop_reason: str | None) -> NewEvent:
    payload = {"turn_id": turn_id, "stop_reason": _text(stop_reason or "cancelled")}
    return _system(SystemEvent.TURN_CANCELLED, payload)


def turn_failed(turn_id: str, error: str, reason: str, **more: Any) -> NewEvent:
    known = {name: _text(value) for name, value in more.items() if value is not None}
    payload = {"turn_id": turn_id, "error": _text(error), "reason": _text(reason), **known}
    return _system(SystemEvent.TURN_FAILED, payload)


def request_failed(method: str, error: str) -> NewEvent:
    """A request that was no turn has failed: the only word for it that the published SDKs know."""
    payload = {"error": _text(error), "method": _text(method), "reason": "request_failed"}
    return _system(SystemEvent.TURN_FAILED, payload)


def broker_error(message: str) -> NewEvent:
    """Nothing more will come of this agent; the published SDKs close the connection on it."""
    return _system(SystemEvent.BROKER_ERROR, {"message": message})


def agent_error(devbox_id: str, kind: str, message: str) -> NewEvent:
    payload = {"devbox_id": devbox_id, "type": kind, "message": _text(message)}
    return _system(SystemEvent.AGENT_ERROR, payload)


def agent_log(log_type: str, message: str) -> NewEvent:
    return _system(SystemEvent.AGENT_LOG, {"log_type": log_type, "message": message})


def devbox_running(devbox_id: str, generation: int, wake: WakeTimes) -> NewEvent:
    times = {name: getattr(wake, name) for name in WakeTimes.__slots__}
    payload = {"devbox_id": devbox_id, "generation": generation, "wake": times}
    return _system(SystemEvent.DEVBOX_RUNNING, payload)


def fits(event: NewEvent) -> bool:
    """Whether the journal takes the event; it would refuse the whole append for one that it does
    not."""
    return len(event.event_type) <= NAME_CHARACTERS_MAX and fits_payload(event.payload)


def too_large(devbox_id: str, event: NewEvent) -> NewEvent:
    """What stands in the place of an event that does not fit."""
    what = f"{event.event_type[:NAME_CHARACTERS_MAX]} with {len(event.payload)} characters"
    message = f"{what} is larger than an event may be"
    return agent_error(devbox_id, "payload_too_large", message)


def _text(value: Any) -> Any:
    """A text cut to what people read; what is none stays."""
    if not isinstance(value, str) or len(value) <= TEXT_CHARACTERS_MAX:
        return value
    return f"{value[:TEXT_CHARACTERS_MAX]}… (cut from {len(value)} characters)"


def _system(event_type: SystemEvent, payload: Mapping[str, Any]) -> NewEvent:
    return NewEvent(Origin.SYSTEM, SOURCE, event_type.value, dump(payload))
