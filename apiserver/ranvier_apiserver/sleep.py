"""May this devbox sleep? A pure decision over facts that one transaction holds still (W3).

Every refusal says when to ask again: the earliest moment at which the answer could be yes, so the
operator asks exactly then and never polls (W9). While something runs that moment is `now + idle`,
because whatever ends the running counts as activity itself.
"""

from dataclasses import dataclass
from typing import Final

from ranvier.internal import SleepAnswer, SleepReason, SleepRequest

LOOK_AGAIN_MIN_MS: Final = 1000
"""Even with an idle time of nearly nothing nobody asks more often than this."""


@dataclass(frozen=True, slots=True)
class MountFacts:
    attached: bool
    unread: bool
    turn_open: bool
    last_activity_ms: int


@dataclass(frozen=True, slots=True)
class SleepFacts:
    """`wanted`: it sleeps already and an event or its owner wants it awake."""

    generation: int
    asleep: bool
    wanted: bool
    last_activity_ms: int
    mounts: tuple[MountFacts, ...]
    executing: bool = False


def decide(facts: SleepFacts, request: SleepRequest, now_ms: int) -> SleepAnswer:
    """Granted with `Idle` or `Forced`, the caller must close the epochs in the same transaction."""
    if request.generation < facts.generation or (
        facts.asleep and (request.force or not facts.wanted)
    ):
        return SleepAnswer(
            granted=True,
            generation=facts.generation,
            reason=SleepReason.ALREADY_ASLEEP,
            message="This generation of the devbox was put to sleep before.",
        )
    if request.force:
        return _granted(facts, request, SleepReason.FORCED, f"Closed at once: {request.cause}.")
    idle_ms = round(request.idle_seconds * 1000)
    if refusal := _running(facts):
        reason, message = refusal
        return _refused(facts, reason, message, now_ms + max(idle_ms, LOOK_AGAIN_MIN_MS))
    last_activity_ms = max([facts.last_activity_ms, *(m.last_activity_ms for m in facts.mounts)])
    idle_at_ms = last_activity_ms + idle_ms
    if now_ms < idle_at_ms:
        left = (idle_at_ms - now_ms) / 1000
        message = f"The idle time is over in {left:.1f} s."
        return _refused(facts, SleepReason.RECENT_ACTIVITY, message, idle_at_ms)
    message = f"Nothing happened for {request.idle_seconds:g} s."
    return _granted(facts, request, SleepReason.IDLE, message)


def closes_epochs(answer: SleepAnswer) -> bool:
    """Whether the answer is a new grant, as against one that repeats an older grant."""
    return answer.granted and answer.reason is not SleepReason.ALREADY_ASLEEP


def _running(facts: SleepFacts) -> tuple[SleepReason, str] | None:
    if facts.asleep or any(not mount.attached for mount in facts.mounts):
        return SleepReason.STARTING, "A broker has not attached to its mount yet."
    if any(mount.unread for mount in facts.mounts):
        return SleepReason.UNREAD_EVENT, "An event waits that the broker has not taken yet."
    if any(mount.turn_open for mount in facts.mounts):
        return SleepReason.TURN_OPEN, "A turn is running."
    if facts.executing:
        return SleepReason.EXECUTION_RUNNING, "An execution is running."
    return None


def _granted(
    facts: SleepFacts, request: SleepRequest, reason: SleepReason, message: str
) -> SleepAnswer:
    # A journal that was restored from a backup may be behind the pods: never fall behind them.
    generation = max(facts.generation, request.generation) + 1
    return SleepAnswer(granted=True, generation=generation, reason=reason, message=message)


def _refused(
    facts: SleepFacts, reason: SleepReason, message: str, look_again_ms: int
) -> SleepAnswer:
    return SleepAnswer(
        granted=False,
        generation=facts.generation,
        reason=reason,
        message=message,
        look_again_ms=look_again_ms,
    )
