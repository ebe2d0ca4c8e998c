"""When to ask the journal whether a devbox may sleep. PURE.

The journal decides (W3), the operator asks at the right moment: each refusal names the earliest
moment at which the answer could be yes, so asking exactly then is never late, needs no polling and
costs no write (W9). Where the operator does not remember an answer (it was restarted), it starts
from the activity that the journal remembers.
"""

from dataclasses import replace
from typing import Final

from ranvier.internal import DevboxView, SleepAnswer, SleepReason
from ranvier.resources import SuspendedReason

from ranvier_operator.observed import Grant, Memory, PodSeen

ASK_PAUSE_SECONDS: Final = 0.5
"""Shortest time between two questions, whatever a clock that is behind makes of the answer."""


def asks_at(idle_seconds: float, view: DevboxView, pod: PodSeen, memory: Memory) -> float:
    """The moment to ask next."""
    if memory.asks_at is not None and memory.asks_for == idle_seconds:
        return memory.asks_at
    activities = [mount.last_activity_ms / 1000 for mount in view.mount_views]
    return max([pod.started_at or pod.created_at, *activities]) + idle_seconds


def refused(memory: Memory, answer: SleepAnswer, idle_seconds: float, now: float) -> Memory:
    """Remembers when to ask again.

    The answer is in the journal's clock. Whatever that clock says, the moment is not further away
    than the idle time, except for a lease that somebody holds.
    """
    moment = (answer.look_again_ms or 0) / 1000
    if answer.reason is not SleepReason.LEASE_VALID:
        moment = min(moment, now + max(idle_seconds, ASK_PAUSE_SECONDS))
    moment = max(moment, now + ASK_PAUSE_SECONDS)
    return replace(memory, asks_at=moment, asks_for=idle_seconds)


def granted(memory: Memory, answer: SleepAnswer, reason: SuspendedReason) -> Memory:
    """Remembers which sleep was granted and why."""
    return replace(memory, asks_at=None, asks_for=None, grant=Grant(answer.generation, reason))


def asleep(view: DevboxView, answer: SleepAnswer) -> DevboxView:
    """The journal's view as a granted sleep leaves it."""
    return view.model_copy(
        update={"asleep": True, "wanted": False, "wanted_by": None, "generation": answer.generation}
    )
