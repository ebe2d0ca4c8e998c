"""The figures of a storm: how long each of many devboxes waited, and the table of them. Pure.

Delays are in seconds. A percentile is one of the delays that were seen (nearest rank), so p99 of
500 is the sixth longest and no mean of two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil


def percentile(delays: Sequence[float], percent: float) -> float:
    """The smallest delay that `percent` of all do not exceed; ValueError when there is none."""
    if not delays:
        raise ValueError("no delay was measured")
    ranked = sorted(delays)
    return ranked[max(0, ceil(len(ranked) * percent / 100) - 1)]


@dataclass(frozen=True, slots=True)
class Storm:
    """One storm: by name, when each was asked to wake and when its pod object was seen."""

    asked: Mapping[str, float]
    seen: Mapping[str, float]

    @property
    def delays(self) -> list[float]:
        """From each one's call to its pod; of those that got one."""
        return [self.seen[name] - at for name, at in self.asked.items() if name in self.seen]

    @property
    def missing(self) -> list[str]:
        """Those that got no pod."""
        return sorted(set(self.asked) - set(self.seen))

    @property
    def asking_seconds(self) -> float:
        """From the first call to the last: how much at once they were woken."""
        return max(self.asked.values()) - min(self.asked.values())

    @property
    def whole_seconds(self) -> float:
        """From the first call to the last pod."""
        return max(self.seen.values(), default=float("inf")) - min(self.asked.values())


@dataclass(slots=True)
class Contender:
    """Who was measured, and all its storms of this run."""

    name: str
    call: str
    storms: list[Storm] = field(default_factory=list)

    @property
    def delays(self) -> list[float]:
        return [delay for storm in self.storms for delay in storm.delays]

    @property
    def is_complete(self) -> bool:
        """Every one got its pod, each time."""
        return bool(self.storms) and not any(storm.missing for storm in self.storms)


def table(contenders: Sequence[Contender]) -> str:
    """What people read: milliseconds from the call to the pod object."""
    head = ("p50", "p90", "p99", "max", "calls", "all")
    lines = [f"{'milliseconds':<34}" + "".join(f"{word:>9}" for word in head)]
    for one in contenders:
        delays = one.delays or [float("inf")]
        figures = [percentile(delays, percent) for percent in (50, 90, 99, 100)]
        figures += [max(storm.asking_seconds for storm in one.storms)]
        figures += [max(storm.whole_seconds for storm in one.storms)]
        label = f"{one.name}: {one.call} → pod"
        lines.append(f"{label:<34}" + "".join(f"{figure * 1000:>9,.0f}" for figure in figures))
    lines.append("calls: from the first call to the last; all: from the first call to the last pod")
    return "\n".join(lines)


def is_no_slower(ours: Contender, theirs: Contender) -> bool:
    """At the 99th percentile, which is what the last ones of a storm feel."""
    return bool(ours.delays) and (
        not theirs.delays or percentile(ours.delays, 99) <= percentile(theirs.delays, 99)
    )
