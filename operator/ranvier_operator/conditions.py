"""From one observation to the whole list of a devbox's conditions. PURE.

Every condition is computed every time, so none can be left over from an earlier state. A message is
stable while nothing changes: what counts up (restarts, back-off times) stays out of it, because
every change of a status is a write.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from ranvier.resources import (
    AcceptedReason,
    Condition,
    ConditionType,
    ReadyReason,
    SuspendedReason,
)
from ranvier.resources.conditions import NOTHING

from ranvier_operator import troubles
from ranvier_operator.observed import ContainerSeen, PodSeen, VolumeSeen
from ranvier_operator.resolution import Problem

SLOW_START_SECONDS: Final = 5.0
"""A start that takes longer names the step it waits for; most are over by then, and each step named
is a write."""
CRASHES_MIN: Final = 3
"""Restarts after which a container that is not ready counts as looping, also while it runs."""
MESSAGE_CHARS_MAX: Final = 1024

PULL_FAILURES: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
START_FAILURES: Final = frozenset(
    {
        "CrashLoopBackOff",
        "RunContainerError",
        "StartError",
        "CreateContainerError",
        "CreateContainerConfigError",
    }
)
PROBLEMS: Final = frozenset(ReadyReason) - {
    ReadyReason.AGENT_READY,
    ReadyReason.STARTING,
    ReadyReason.SUSPENDED,
    ReadyReason.SUSPENDING,
    ReadyReason.SHUT_DOWN,
}
"""Reasons that a person may have to act on; their messages say how."""
_ASLEEP: Final = frozenset(
    {
        SuspendedReason.IDLE,
        SuspendedReason.OWNER_REQUESTED,
        SuspendedReason.REQUESTED,
        SuspendedReason.SHUT_DOWN,
    }
)
_READY_FOR: Final = {
    AcceptedReason.AXON_NOT_FOUND: ReadyReason.WAITING_FOR_AXON,
    AcceptedReason.AXON_NOT_READY: ReadyReason.WAITING_FOR_AXON,
    AcceptedReason.BLUEPRINT_NOT_FOUND: ReadyReason.BLUEPRINT_NOT_FOUND,
    AcceptedReason.PROTOCOL_UNSUPPORTED: ReadyReason.PROTOCOL_UNSUPPORTED,
    AcceptedReason.SPEC_INVALID: ReadyReason.SPEC_INVALID,
}


@dataclass(frozen=True, slots=True)
class Ready:
    """What the condition Ready shall say."""

    reason: ReadyReason
    detail: str = ""

    @property
    def sentence(self) -> str:
        """What is so, and what a person can do about it."""
        remedy = self.reason.action if self.reason in PROBLEMS else ""
        return _sentence(self.detail or self.reason.meaning, remedy)


@dataclass(frozen=True, slots=True)
class Suspended:
    """What the condition Suspended shall say."""

    reason: SuspendedReason
    detail: str = ""

    @property
    def holds(self) -> bool:
        return self.reason in _ASLEEP


def asleep_because(suspended: Suspended) -> str:
    """Why it sleeps, in the words of the condition Suspended, for the column that people read."""
    return f"{suspended.reason}: {suspended.detail or _plain(suspended.reason.meaning)}"


def unresolved(problem: Problem) -> Ready:
    """Ready of a devbox whose spec can not be carried out."""
    return Ready(_READY_FOR[problem.reason], problem.message)


def ready_of(pod: PodSeen, volume: VolumeSeen | None, now: float) -> Ready:
    """What a pod that shall run says about its devbox."""
    if pod.ready:
        return Ready(ReadyReason.AGENT_READY)
    failure = next((found for found in map(_failure, pod.containers) if found), None)
    if failure is not None:
        return failure
    if now - pod.created_at < SLOW_START_SECONDS:
        return Ready(ReadyReason.STARTING)
    return _slow(pod, volume)


def conditions(
    old: tuple[Condition, ...],
    *,
    generation: int,
    problem: Problem | None,
    ready: Ready,
    suspended: Suspended,
    now: float,
) -> tuple[Condition, ...]:
    """The whole list; a condition keeps its time while its status stays."""
    accepted = problem.reason if problem else AcceptedReason.RESOLVED
    verdicts = (
        (ConditionType.READY, ready.reason is ReadyReason.AGENT_READY, ready.reason,
         ready.sentence),
        (ConditionType.SUSPENDED, suspended.holds, suspended.reason,
         _sentence(suspended.detail or _plain(suspended.reason.meaning), "")),
        (ConditionType.ACCEPTED, problem is None, accepted,
         _sentence(problem.message, accepted.action) if problem else _plain(accepted.meaning)),
    )  # fmt: skip
    return tuple(
        condition(old, kind, holds, str(reason), message, generation=generation, now=now)
        for kind, holds, reason, message in verdicts
    )


def condition(
    old: tuple[Condition, ...],
    kind: ConditionType,
    holds: bool,
    reason: str,
    message: str,
    *,
    generation: int,
    now: float,
) -> Condition:
    """One condition, with the time of the old one where its status is the same."""
    status: Literal["True", "False"] = "True" if holds else "False"
    before = find(old, kind)
    same = before is not None and before.status == status
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MESSAGE_CHARS_MAX],
        observed_generation=generation,
        last_transition_time=(
            before.last_transition_time
            if before is not None and same
            else datetime.fromtimestamp(int(now), UTC)
        ),
    )


def suspended_reason(word: str) -> SuspendedReason | None:
    """The reason of this word, if it is one of ours."""
    return next((reason for reason in SuspendedReason if reason.value == word), None)


def find(conditions: tuple[Condition, ...], kind: ConditionType) -> Condition | None:
    """The condition of this type."""
    return next((item for item in conditions if item.type == kind), None)


# --- a pod's troubles


def _failure(container: ContainerSeen) -> Ready | None:
    reason, message = container.waiting or ("", "")
    if reason in PULL_FAILURES:
        detail = _pull_error(message) or reason
        text = f"Container {container.name}: image {container.image} can not be pulled: {detail}"
        return Ready(ReadyReason.IMAGE_PULL_FAILED, text)
    looping = container.restarts >= CRASHES_MIN and not container.ready
    if reason in START_FAILURES or looping:
        if container.out_of_memory:
            return Ready(ReadyReason.OUT_OF_MEMORY, troubles.out_of_memory(container.name))
        detail = container.last_end or f"{reason}: {message}".rstrip(": ")
        return Ready(
            ReadyReason.CRASH_LOOP,
            f"Container {container.name} ends right after its start: {detail}.",
        )
    return None


def _pull_error(message: str) -> str:
    """The kubelet's message without its back-off prefix, which comes and goes."""
    return message.rpartition("ErrImagePull: ")[2].removeprefix("Back-off pulling image").strip()


def _slow(pod: PodSeen, volume: VolumeSeen | None) -> Ready:
    """The step that a slow start waits for."""
    if pod.unschedulable is not None and "volume" not in pod.unschedulable.lower():
        return Ready(ReadyReason.UNSCHEDULABLE, pod.unschedulable)
    if volume is not None and volume.phase != "Bound":
        detail = f"Claim {volume.name} is {volume.phase}. {pod.unschedulable or ''}".rstrip()
        return Ready(ReadyReason.VOLUME_PENDING, detail)
    if pod.unschedulable is not None:
        return Ready(ReadyReason.VOLUME_PENDING, pod.unschedulable)
    if not pod.scheduled:
        return Ready(ReadyReason.STARTING, f"Pod {pod.name} waits for the scheduler.")
    for container in pod.containers:
        if not container.started:
            step = container.waiting[0] if container.waiting else "not started"
            return Ready(
                ReadyReason.STARTING,
                f"Pod {pod.name} waits for container {container.name}: {step}.",
            )
    return Ready(ReadyReason.STARTING, f"Pod {pod.name} runs; its broker has not attached yet.")


def _sentence(text: str, remedy: str) -> str:
    return text if not remedy or remedy == NOTHING else f"{text} {remedy}"


def _plain(meaning: str) -> str:
    """The catalogue's sentence without the status that it begins with."""
    _, separator, rest = meaning.partition(": ")
    return rest[:1].upper() + rest[1:] if separator else meaning
