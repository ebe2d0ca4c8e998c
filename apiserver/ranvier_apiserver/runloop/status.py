"""A Devbox's conditions as Runloop's status words. Pure.

The published SDKs wait for a word and take every other one, but `provisioning` and `initializing`,
for the end of the wait. So what is on its way to running is `provisioning`, also while it resumes.
A devbox that can not start is `failure` once waiting longer would not help; since the operator goes
on trying, it can still become `running` when the cause goes away.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ranvier.resources import (
    FAILS_AFTER_SECONDS,
    Condition,
    ConditionType,
    Devbox,
    OperatingMode,
    Operation,
    ReadyReason,
    ShutdownReason,
    SuspendedReason,
)


class Status(StrEnum):
    """All of Runloop's words; those that are never given are still understood in filters."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    PROVISIONING = "provisioning"
    INITIALIZING = "initializing"
    RUNNING = "running"
    SUSPENDING = "suspending"
    SUSPENDED = "suspended"
    RESUMING = "resuming"
    FAILURE = "failure"
    SHUTDOWN = "shutdown"


class FailureReason(StrEnum):
    OUT_OF_MEMORY = "out_of_memory"
    OUT_OF_DISK = "out_of_disk"
    EXECUTION_FAILED = "execution_failed"
    HEALTH_CHECK_FAILED = "health_check_failed"


SHUTDOWN_WORDS: Final = {
    ShutdownReason.REQUESTED: "api_shutdown",
    ShutdownReason.IDLE: "idle",
    ShutdownReason.KEEP_ALIVE_EXPIRED: "keep_alive_timeout",
    ShutdownReason.ENTRYPOINT_EXITED: "entrypoint_exit",
    ShutdownReason.TTL_EXPIRED: "ttl_expired",
}

_FAILURE_WORDS: Final[Mapping[str, FailureReason]] = {
    ReadyReason.OUT_OF_MEMORY.value: FailureReason.OUT_OF_MEMORY,
    ReadyReason.OUT_OF_DISK.value: FailureReason.OUT_OF_DISK,
    ReadyReason.HOME_FULL.value: FailureReason.OUT_OF_DISK,
    ReadyReason.CRASH_LOOP.value: FailureReason.EXECUTION_FAILED,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a devbox stands, since when, and why in our own words."""

    status: Status
    since: datetime | None
    reason: str = ""
    message: str = ""
    failure: FailureReason | None = None
    shutdown: str | None = None


def standing(devbox: Devbox, now: datetime) -> Standing:
    """The one word for all that stands in the resource."""
    ready = _condition(devbox, ConditionType.READY)
    suspended = _condition(devbox, ConditionType.SUSPENDED)
    why = (ready.reason, ready.message) if ready else ("", "")
    ended = _ended(devbox)
    if ended is not None:
        since, word = ended
        return Standing(Status.SHUTDOWN, since, *why, shutdown=word)
    asked = devbox.status.request
    if _is_pending(devbox, Operation.SUSPEND):
        return Standing(Status.SUSPENDING, asked.time if asked else None, *why)
    if suspended is not None and (
        suspended.status == "True" or suspended.reason == SuspendedReason.SUSPENDING
    ):
        return _asleep(devbox, suspended, why)
    if devbox.spec.operating_mode is OperatingMode.SUSPENDED and ready is not None:
        return Standing(Status.SUSPENDING, ready.last_transition_time, *why)
    if ready is None:
        return Standing(Status.PROVISIONING, devbox.metadata.creation_timestamp)
    if ready.status == "True":
        return Standing(Status.RUNNING, ready.last_transition_time, *why)
    if _is_over(ready, now):
        word = failure_reason(ready.reason)
        return Standing(Status.FAILURE, ready.last_transition_time, *why, failure=word)
    return Standing(Status.PROVISIONING, ready.last_transition_time, *why)


def failure_reason(reason: str) -> FailureReason:
    """Which of Runloop's four causes is nearest to a reason of Ready; the exact one is shown too,
    with its sentence."""
    return _FAILURE_WORDS.get(reason, FailureReason.HEALTH_CHECK_FAILED)


def _ended(devbox: Devbox) -> tuple[datetime | None, str] | None:
    """When it ended for good, and Runloop's word for why."""
    status, asked = devbox.status, devbox.status.request
    if status.shutdown_time is not None:
        reason = status.shutdown_reason or ShutdownReason.IDLE
        return status.shutdown_time, SHUTDOWN_WORDS[reason]
    if asked is not None and asked.operation is Operation.SHUTDOWN:
        return asked.time, SHUTDOWN_WORDS[ShutdownReason.REQUESTED]
    if devbox.metadata.deletion_timestamp is not None:
        return devbox.metadata.deletion_timestamp, SHUTDOWN_WORDS[ShutdownReason.REQUESTED]
    return None


def _asleep(devbox: Devbox, suspended: Condition, why: tuple[str, str]) -> Standing:
    since = suspended.last_transition_time
    is_held = devbox.spec.operating_mode is OperatingMode.SUSPENDED
    if not is_held and (_is_pending(devbox, Operation.RESUME) or _is_called(devbox)):
        return Standing(Status.PROVISIONING, since, *why)
    if suspended.status == "True":
        return Standing(Status.SUSPENDED, since, suspended.reason, suspended.message)
    return Standing(Status.SUSPENDING, since, *why)


def _is_pending(devbox: Devbox, operation: Operation) -> bool:
    """The last request is this one, and the operator has not written yet what came of it.

    A suspend leads to a new generation, a resume ends the one that it names.
    """
    asked, written = devbox.status.request, devbox.status.sleep_generation or 0
    if asked is None or asked.operation is not operation:
        return False
    if operation is Operation.RESUME:
        return written == asked.generation
    return written < asked.generation


def _is_called(devbox: Devbox) -> bool:
    """An event wakes it already."""
    wake = devbox.status.wake
    return wake is not None and wake.generation == devbox.status.sleep_generation


def _is_over(ready: Condition, now: datetime) -> bool:
    patience = next((s for r, s in FAILS_AFTER_SECONDS.items() if r.value == ready.reason), None)
    if patience is None:
        return False
    return (now - ready.last_transition_time).total_seconds() >= patience


def _condition(devbox: Devbox, kind: ConditionType) -> Condition | None:
    return next((found for found in devbox.status.conditions if found.type == kind), None)
