"""Checks what concurrent clients saw of one axon: every call took effect at one moment between its
beginning and its end, in one order for all. Pure.

Of a journal that asks little: an earlier publish has the smaller sequence, a read shows everything
that was published or read before it began, and all reads are pieces of one history.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True, slots=True)
class Publish:
    """Moments are of any clock that only goes up, the same for all clients."""

    began: int
    ended: int
    sequence: int
    payload: str

    @property
    def head(self) -> int:
        """The axon had at least so many events when this ended."""
        return self.sequence


@dataclass(frozen=True, slots=True)
class Read:
    """All events after `after`, to the axon's end."""

    began: int
    ended: int
    after: int
    payloads: tuple[str, ...]

    @property
    def head(self) -> int:
        return self.after + len(self.payloads)


Call = Publish | Read


def faults(calls: Sequence[Call], final: Sequence[str]) -> list[str]:
    """Sentences, one a fault; `final`: the payloads of the axon's events in the end."""
    found = []
    for call in calls:
        if isinstance(call, Publish):
            if not 0 < call.sequence <= len(final) or final[call.sequence - 1] != call.payload:
                found.append(f"{call} is not in the history")
        elif tuple(final[call.after : call.head]) != call.payloads:
            found.append(f"{call} is no piece of the history")
    for one, other in combinations(calls, 2):
        earlier, later = (one, other) if one.ended < other.began else (other, one)
        if earlier.ended < later.began:
            found += _out_of_order(earlier, later)
    return found


def _out_of_order(earlier: Call, later: Call) -> list[str]:
    if isinstance(later, Publish):
        return [] if later.sequence > earlier.head else [f"{later} comes not after {earlier}"]
    return [] if later.head >= earlier.head else [f"{later} does not show what {earlier} knew"]
