"""A Devbox's conditions as Runloop's status words. Pure.

The published SDKs wait for a word and take every other one, but `provisioning` and `initializing`,
for the end of the wait. So what is on its way to running is `provisioning`, also while it resumes.
A devbox that can not start is `failure` once waiting longer would not help; since the operator goes
on trying, it can still become `running` when the cause goes away.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from ranvier.resources import (
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


SOON_SECONDS: Final = 60.0
"""A registry, a quota or an Axon that is a little late is no failure yet; SDKs wait for 120 s."""
SLOW_SECONDS: Final = 600.0
"""A new node, with its autoscaler, takes minutes."""

PATIENCE_SECONDS: Final = {
    ReadyReason.SPEC_INVALID: 0.0,
    ReadyReason.PROTOCOL_UNSUPPORTED: 0.0,
    ReadyReason.BLUEPRINT_NOT_FOUND: 0.0,
    ReadyReason.POD_NOT_OWNED: 0.0,
    ReadyReason.CRASH_LOOP: 0.0,
    ReadyReason.WAITING_FOR_AXON: SOON_SECONDS,
    ReadyReason.IMAGE_PULL_FAILED: SOON_SECONDS,
    ReadyReason.POD_REFUSED: SOON_SECONDS,
    ReadyReason.POD_FAILED: SOON_SECONDS,
    ReadyReason.UNSCHEDULABLE: SLOW_SECONDS,
    ReadyReason.VOLUME_PENDING: SLOW_SECONDS,
}
"""How long a devbox may not be ready for this reason before that is called a failure. Reasons that
are not here never are: the start goes on, or Ranvier itself has to be mended."""

SHUTDOWN_WORDS: Final = {
    ShutdownReason.REQUESTED: "api_shutdown",
    ShutdownReason.IDLE: "idle",
    ShutdownReason.KEEP_ALIVE_EXPIRED: "keep_alive_timeout",
    ShutdownReason.ENTRYPOINT_EXITED: "entrypoint_exit",
}

_DISK_WORDS: Final = ("ephemeral-storage", "diskpressure", "no space left", "disk")


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
        return Standing(
            Status.FAILURE, ready.last_transition_time, *why, failure=failure_reason(ready)
        )
    return Standing(Status.PROVISIONING, ready.last_transition_time, *why)


def failure_reason(ready: Condition) -> FailureReason:
    """Which of Runloop's four causes is nearest; the exact one is in `reason` and `message`."""
    text = ready.message.lower()
    if "oomkilled" in text or "out of memory" in text:
        return FailureReason.OUT_OF_MEMORY
    if ready.reason == ReadyReason.POD_FAILED and any(word in text for word in _DISK_WORDS):
        return FailureReason.OUT_OF_DISK
    if ready.reason == ReadyReason.CRASH_LOOP:
        return FailureReason.EXECUTION_FAILED
    return FailureReason.HEALTH_CHECK_FAILED


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
    patience = next((s for r, s in PATIENCE_SECONDS.items() if r.value == ready.reason), None)
    if patience is None:
        return False
    return (now - ready.last_transition_time).total_seconds() >= patience


def _condition(devbox: Devbox, kind: ConditionType) -> Condition | None:
    return next((found for found in devbox.status.conditions if found.type == kind), None)
