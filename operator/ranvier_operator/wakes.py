"""How long the parts of a wake took that the cluster does. Pure: what watches tell in, phases out.

A wake begins with the event that `status.wake` names. The API server measures it whole; here is
what stands between its call and the broker, whose pod it waits for.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final, NamedTuple

from ranvier_operator.kinds import RawObject
from ranvier_operator.naming import GENERATION_ANNOTATION

UNDER_WAY_MAX: Final = 10_000
"""Pods that are remembered until they run; the oldest is forgotten first."""

PHASES: Final = ("created", "scheduled", "started")


class Phase(NamedTuple):
    """`created`: event published → its pod was seen; `scheduled`: → it has a node; `started`: → all
    of its containers are ready."""

    name: str
    seconds: float


class Wakes:
    """The pods of wakes that are under way, each with its last phase and when that ended."""

    def __init__(self) -> None:
        self._under_way: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def seen(
        self, pod: RawObject, wake: dict[str, Any] | None, is_new: bool, now: float
    ) -> list[Phase]:
        """What ended with this state of a pod. `wake` is its devbox's `status.wake`."""
        metadata = pod["metadata"]
        uid, phases = metadata["uid"], []
        if is_new and wake is not None:
            generation = (metadata.get("annotations") or {}).get(GENERATION_ANNOTATION)
            if generation == str(wake["generation"]):
                phases.append(Phase(PHASES[0], max(0.0, now - _seconds(wake["time"]))))
                self._under_way[uid] = (0, now)
                while len(self._under_way) > UNDER_WAY_MAX:
                    self._under_way.popitem(last=False)
        if (known := self._under_way.get(uid)) is None:
            return phases
        last, since = known
        for number in range(last + 1, _reached(pod) + 1):
            phases.append(Phase(PHASES[number], now - since))
            last, since = number, now
        self._under_way[uid] = (last, since)
        if last == len(PHASES) - 1:
            del self._under_way[uid]
        return phases

    def gone(self, pod: RawObject) -> None:
        """A pod that ended before it ran tells nothing."""
        self._under_way.pop(pod["metadata"]["uid"], None)


def _reached(pod: RawObject) -> int:
    """The last phase that the pod has behind it."""
    conditions = (pod.get("status") or {}).get("conditions") or ()
    met = {c["type"] for c in conditions if c["status"] == "True"}
    if "ContainersReady" in met:
        return 2
    return 1 if "PodScheduled" in met else 0


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()
