"""Which failure a devbox's status tells of, for good, until there is another one. PURE.

A failure is what a user of the devbox has to hear of, also when it is well again a second later: a
kill for memory, an eviction, a start that does not succeed. It stands in the status first; its
axons are told of what stands there (`devbox.failed`), so a crash in between loses nothing, and the
same facts seen again are the same failure.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from ranvier.resources import FAILS_AFTER_SECONDS, Failure, ReadyReason

from ranvier_operator import troubles
from ranvier_operator.conditions import MESSAGE_CHARS_MAX, Ready
from ranvier_operator.observed import Memory, PodSeen

TELL_SECONDS_MAX: Final = 3600.0
"""A failure that is older is no news: whoever waits on the axon has looked elsewhere by then. Well
within the day for which the journal knows what it was told already."""

_ENDS: Final = frozenset(
    {
        ReadyReason.OUT_OF_MEMORY,
        ReadyReason.OUT_OF_DISK,
        ReadyReason.EVICTED,
        ReadyReason.NODE_LOST,
        ReadyReason.POD_FAILED,
    }
)
"""Something that ran ended: a failure at once, told by the pod itself. All others are obstacles,
and a failure when they stay."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is to judge: the condition Ready as it will stand, and since when it is false."""

    ready: Ready
    since: float
    pod: PodSeen | None
    written: Failure | None


def newest(standing: Standing, now: float) -> Failure | None:
    """The failure that the status shall tell of: the written one, or one after it."""
    return next(_found(standing, now), standing.written)


def becomes_failure_in(standing: Standing, now: float) -> float | None:
    """Seconds until an obstacle that stays is a failure; None where nothing can become one."""
    patience = FAILS_AFTER_SECONDS.get(standing.ready.reason)
    if patience is None or standing.ready.reason in _ENDS:
        return None
    left = standing.since + patience - now
    return left if left > 0 else None


def untold(failure: Failure | None, memory: Memory, now: float) -> Failure | None:
    """The failure that its axons have yet to be told of."""
    if failure is None or failure == memory.told:
        return None
    return failure if now - failure.time.timestamp() < TELL_SECONDS_MAX else None


def _found(standing: Standing, now: float) -> Iterator[Failure]:
    pod, written = standing.pod, standing.written
    last = written.time.timestamp() if written is not None else float("-inf")
    for item in pod.containers if pod is not None else ():
        if item.out_of_memory and item.ended_at is not None and item.ended_at > last:
            text = troubles.out_of_memory(item.name)
            yield _failure(ReadyReason.OUT_OF_MEMORY, text, item.ended_at)
    reason, detail = standing.ready.reason, standing.ready.detail
    if reason in _ENDS:
        if pod is not None and pod.ended and pod.ended_at > last:
            kind, text = troubles.of_end(pod)
            yield _failure(kind, text, pod.ended_at)
        return
    if reason not in FAILS_AFTER_SECONDS:
        return
    is_told = written is not None and written.reason == reason and last >= standing.since
    if not is_told and becomes_failure_in(standing, now) is None:
        yield _failure(reason, detail, now)


def _failure(reason: ReadyReason, text: str, time: float) -> Failure:
    message = Ready(reason, text).sentence[:MESSAGE_CHARS_MAX]
    moment = datetime.fromtimestamp(int(time), UTC)
    return Failure(reason=reason.value, message=message, time=moment)
