"""The SYSTEM events that the journal itself writes. Pure; payload keys are the public ones."""

import json
from typing import Final

from ranvier.events import NewEvent, Origin, SystemEvent
from ranvier.internal import DevboxFailure

from ranvier_apiserver.runloop.status import failure_reason

SOURCE: Final = "ranvier"


def turn_interrupted(turn_id: str) -> NewEvent:
    """The broker that ran this turn is gone; another one took its mount (T7)."""
    error = "The broker that ran this turn went away before the turn ended."
    return _turn_failed(turn_id, error, "interrupted")


def turn_suspended(turn_id: str, cause: str) -> NewEvent:
    """The devbox was closed by force while this turn ran."""
    return _turn_failed(
        turn_id, f"The devbox was suspended during this turn: {cause}.", "suspended"
    )


def turn_unmounted(turn_id: str) -> NewEvent:
    """The mount was taken off the devbox while this turn ran."""
    return _turn_failed(turn_id, "The mount of this turn was removed from its devbox.", "unmounted")


def devbox_suspended(devbox_id: str, reason: str) -> NewEvent:
    return _system(SystemEvent.DEVBOX_SUSPENDED, {"devbox_id": devbox_id, "reason": reason})


def devbox_shutdown(devbox_id: str) -> NewEvent:
    """It ended for good: shut down, or its resource deleted."""
    return _system(SystemEvent.DEVBOX_SHUTDOWN, {"devbox_id": devbox_id})


def devbox_failed(devbox_id: str, failure: DevboxFailure) -> NewEvent:
    """Something made it fail; it may be well again by now. `reason` is the REST API's word,
    `condition` the exact one."""
    payload = {
        "devbox_id": devbox_id,
        "reason": failure_reason(failure.reason).value,
        "condition": failure.reason,
        "message": failure.message,
    }
    return _system(SystemEvent.DEVBOX_FAILED, payload)


def _turn_failed(turn_id: str, error: str, reason: str) -> NewEvent:
    payload = {"turn_id": turn_id, "error": error, "reason": reason}
    return _system(SystemEvent.TURN_FAILED, payload)


def _system(event_type: SystemEvent, payload: dict[str, str]) -> NewEvent:
    return NewEvent(Origin.SYSTEM, SOURCE, event_type, json.dumps(payload))
