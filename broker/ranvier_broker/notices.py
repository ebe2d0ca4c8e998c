"""The events that the broker writes in its own name, one function a kind; keys are snake_case."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import NewEvent, Origin, SystemEvent

from ranvier_broker.codecs.jsonrpc import dump

SOURCE: Final = "broker"


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
    payload: dict[str, Any] = {"turn_id": turn_id, "stop_reason": stop_reason or "unknown"}
    if usage is not None:
        payload["usage"] = usage
    return _system(SystemEvent.TURN_COMPLETED, payload)


def turn_cancelled(turn_id: str, stop_reason: str | None) -> NewEvent:
    payload = {"turn_id": turn_id, "stop_reason": stop_reason or "cancelled"}
    return _system(SystemEvent.TURN_CANCELLED, payload)


def turn_failed(turn_id: str, error: str, reason: str, **more: Any) -> NewEvent:
    known = {name: value for name, value in more.items() if value is not None}
    payload = {"turn_id": turn_id, "error": error, "reason": reason, **known}
    return _system(SystemEvent.TURN_FAILED, payload)


def request_failed(method: str, error: str) -> NewEvent:
    """A request that was no turn has failed: the only word for it that the published SDKs know."""
    payload = {"error": error, "method": method, "reason": "request_failed"}
    return _system(SystemEvent.TURN_FAILED, payload)


def broker_error(message: str) -> NewEvent:
    """Nothing more will come of this agent; the published SDKs close the connection on it."""
    return _system(SystemEvent.BROKER_ERROR, {"message": message})


def agent_error(devbox_id: str, kind: str, message: str) -> NewEvent:
    payload = {"devbox_id": devbox_id, "type": kind, "message": message}
    return _system(SystemEvent.AGENT_ERROR, payload)


def agent_log(log_type: str, message: str) -> NewEvent:
    return _system(SystemEvent.AGENT_LOG, {"log_type": log_type, "message": message})


def devbox_running(devbox_id: str, generation: int, wake: WakeTimes) -> NewEvent:
    times = {name: getattr(wake, name) for name in WakeTimes.__slots__}
    payload = {"devbox_id": devbox_id, "generation": generation, "wake": times}
    return _system(SystemEvent.DEVBOX_RUNNING, payload)


def _system(event_type: SystemEvent, payload: Mapping[str, Any]) -> NewEvent:
    return NewEvent(Origin.SYSTEM, SOURCE, event_type.value, dump(payload))
