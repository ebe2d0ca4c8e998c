"""How long each part of a wake took, from the facts that pass by. Pure: facts in, phases out.

A wake begins with the event that nobody reads yet and ends with the broker's `devbox.running`,
which carries the broker's own times (docs/observability.md). Clocks of two machines are compared,
so a phase that comes out negative counts as zero.
"""

import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from ranvier.events import AxonEvent, Origin

from ranvier_apiserver.state import Wake

UNDER_WAY_MAX: Final = 10_000
"""Wakes that are remembered until their devbox runs; the oldest is forgotten first."""

RUNNING: Final = "devbox.running"
PHASES: Final = ("poke", "pod", "attach", "agent")


@dataclass(frozen=True, slots=True)
class Phase:
    """One part of a wake. `poke`: committed → told; `pod`: told → its broker runs; `attach`: the
    broker has its mount; `agent`: the agent takes messages; `total`: all of it."""

    name: str
    seconds: float


class WakePhases:
    """The wakes under way."""

    def __init__(self) -> None:
        self._under_way: OrderedDict[tuple[str, int], tuple[int, int | None]] = OrderedDict()

    def wanted(self, wake: Wake) -> None:
        """An event wants the devbox awake; later ones of the same generation change nothing."""
        self._under_way.setdefault((wake.devbox_uid, wake.generation), (wake.time_ms, None))
        while len(self._under_way) > UNDER_WAY_MAX:
            self._under_way.popitem(last=False)

    def told(self, wake: Wake, now_ms: int) -> None:
        """The cluster took the poke; only the first one counts."""
        key = wake.devbox_uid, wake.generation
        if (known := self._under_way.get(key)) is not None and known[1] is None:
            self._under_way[key] = known[0], now_ms

    def happened(self, event: AxonEvent) -> list[Phase]:
        """The phases of the wake that ends with this event; none for all other events."""
        if event.event_type != RUNNING or event.origin is not Origin.SYSTEM:
            return []
        payload = json.loads(event.payload)
        times = payload.get("wake", {})
        key = payload.get("devbox_id"), payload.get("generation")
        began_ms, told_ms = self._under_way.pop(key, (None, None))
        if began_ms is None or told_ms is None:
            return []  # its first start, or one that was asked for otherwise
        stations = [began_ms, told_ms]
        stations += [times.get(f"{name}_ms") for name in ("broker_started", "attached")]
        stations.append(times.get("agent_ready_ms"))
        if None in stations:
            return []
        lengths = zip(PHASES, stations, stations[1:], strict=False)
        found = [Phase(name, max(0, to - since) / 1000) for name, since, to in lengths]
        return [*found, Phase("total", max(0, stations[-1] - began_ms) / 1000)]
