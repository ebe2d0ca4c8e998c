"""Checks an axon's whole journal: events in, findings out. Pure; `ranvier verify AXON` runs it.

It holds the journal's promises against what stands there, whoever wrote it: sequences without gaps
and times that never go back (J1), nothing acknowledged missing (J2), every trigger at most one
`turn.started` and in order (T1 to T3), every started turn exactly one terminal with nothing of the
turn after it (T4). A mount is told by its turn ids: `<mount>_<trigger>`.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from ranvier.events import TURN_TERMINALS, AxonEvent, Origin, SystemEvent


class Problem(StrEnum):
    """What a finding is about. Programs read these; none is renamed."""

    GAP = "gap"
    REPEATED = "repeated"
    TIME_BACK = "time_back"
    LOST = "lost"
    UNREADABLE = "unreadable"
    NO_TRIGGER = "no_trigger"
    SECOND_START = "second_start"
    OUT_OF_ORDER = "out_of_order"
    PASSED_OVER = "passed_over"
    TWO_AT_ONCE = "two_at_once"
    NOT_ENDED = "not_ended"
    NOT_STARTED = "not_started"
    SECOND_END = "second_end"
    OUTSIDE_TURN = "outside_turn"


@dataclass(frozen=True, slots=True)
class Finding:
    """A broken promise. `sequence`: the event where it shows (0: no event, it is missing)."""

    sequence: int
    problem: Problem
    message: str


BROKER: Final = "broker"
"""The source that brokers write; others may publish events of the same types as they like."""

IN_TURN_ONLY: Final = frozenset(
    {"turn.message_chunk", "turn.tool_call", "turn.tool_call_update", "session/prompt"}
)
"""What a broker writes within turns only. Agents of some protocols say other things at any time
(ACP's `session/update`, Claude's background tasks), so those prove nothing."""


@dataclass(slots=True)
class _Mount:
    """What one mount has done so far. `kinds`: of the events that have started turns here."""

    open_turn: str | None = None
    last_trigger: int = 0
    triggers: set[int] = field(default_factory=set)
    kinds: set[tuple[str, str]] = field(default_factory=set)


class Checker:
    """Reads one axon from its first event on; `findings` grows. Holds a few words an inbound
    event and a turn, never a payload."""

    def __init__(self, acknowledged: Mapping[int, str] | None = None) -> None:
        self.findings: list[Finding] = []
        self.event_count = self.turn_count = 0
        self._acknowledged = dict(acknowledged or {})
        self._last: AxonEvent | None = None
        self._inbound: dict[int, tuple[str, str]] = {}
        self._kinds: dict[tuple[str, str], tuple[str, str]] = {}
        self._mounts: dict[str, _Mount] = {}
        self._mount_of: dict[str, str] = {}  # turn → its mount, for every turn that has started
        self._is_ended: set[str] = set()

    @property
    def open_turns(self) -> list[str]:
        """Turns that have started and not ended."""
        return [mount.open_turn for mount in self._mounts.values() if mount.open_turn is not None]

    def feed(self, event: AxonEvent) -> None:
        """Take the next event of the axon."""
        self._sequence(event)
        self._acknowledgement(event)
        if event.is_inbound:
            kind = (event.origin.value, event.event_type)
            self._inbound[event.sequence] = self._kinds.setdefault(kind, kind)
        elif event.origin is Origin.SYSTEM and event.event_type == SystemEvent.TURN_STARTED:
            self._started(event)
        elif event.origin is Origin.SYSTEM and event.event_type in TURN_TERMINALS:
            self._ended(event)
        elif event.event_type in IN_TURN_ONLY and event.source == BROKER:
            self._within(event)

    def finish(self, *, is_idle: bool) -> list[Finding]:
        """The axon is read to its end; with `is_idle` a turn still open is a finding too."""
        for sequence, payload in sorted(self._acknowledged.items()):
            text = f"Event {sequence} was acknowledged and is not there ({payload[:60]!r})."
            self._report(sequence, Problem.LOST, text)
        if is_idle:
            for turn_id in self.open_turns:
                self._report(0, Problem.NOT_ENDED, f"Turn {turn_id} has no end.")
        return self.findings

    # --- the journal

    def _sequence(self, event: AxonEvent) -> None:
        self.event_count += 1
        expected = self._last.sequence + 1 if self._last else 1
        if event.sequence > expected:
            text = (
                f"Event {expected} is missing"
                if event.sequence == expected + 1
                else (f"Events {expected} to {event.sequence - 1} are missing")
            )
            self._report(event.sequence, Problem.GAP, f"{text} before event {event.sequence}.")
        elif event.sequence < expected:
            text = f"Event {event.sequence} comes again after event {expected - 1}."
            self._report(event.sequence, Problem.REPEATED, text)
        if self._last and event.timestamp_ms < self._last.timestamp_ms:
            back_ms = self._last.timestamp_ms - event.timestamp_ms
            text = f"Event {event.sequence} is {back_ms} ms older than the one before it."
            self._report(event.sequence, Problem.TIME_BACK, text)
        self._last = event

    def _acknowledgement(self, event: AxonEvent) -> None:
        payload = self._acknowledged.pop(event.sequence, None)
        if payload is not None and payload != event.payload:
            text = f"Event {event.sequence} is not what was acknowledged under this number."
            self._report(event.sequence, Problem.LOST, text)

    # --- turns

    def _started(self, event: AxonEvent) -> None:
        payload = self._payload(event)
        turn_id, trigger = payload.get("turn_id"), payload.get("trigger_sequence")
        if not isinstance(turn_id, str) or not isinstance(trigger, int):
            text = f"turn.started {event.sequence} names no turn_id and trigger_sequence."
            self._report(event.sequence, Problem.UNREADABLE, text)
            return
        self.turn_count += 1
        name = _mount_name(turn_id, trigger)
        mount = self._mounts.setdefault(name, _Mount())
        self._triggered(event, mount, trigger)
        if mount.open_turn is not None and mount.open_turn != turn_id:
            text = f"Turn {turn_id} starts while {mount.open_turn} has no end."
            self._report(event.sequence, Problem.TWO_AT_ONCE, text)
        mount.open_turn = turn_id
        self._mount_of[turn_id] = name

    def _triggered(self, event: AxonEvent, mount: _Mount, trigger: int) -> None:
        kind = self._inbound.get(trigger)
        if kind is None:
            text = f"turn.started names event {trigger}, which is none of a user or outside system."
            self._report(event.sequence, Problem.NO_TRIGGER, text)
            return
        if trigger in mount.triggers:
            text = f"Event {trigger} starts a second turn."
            self._report(event.sequence, Problem.SECOND_START, text)
        elif trigger < mount.last_trigger:
            text = f"Event {trigger} starts a turn after event {mount.last_trigger} did."
            self._report(event.sequence, Problem.OUT_OF_ORDER, text)
        elif mount.triggers:
            self._passed_over(mount, trigger)
        mount.triggers.add(trigger)
        mount.kinds.add(kind)
        mount.last_trigger = max(mount.last_trigger, trigger)

    def _passed_over(self, mount: _Mount, trigger: int) -> None:
        for sequence in range(mount.last_trigger + 1, trigger):
            if self._inbound.get(sequence) in mount.kinds:
                text = f"Event {sequence} started no turn, though event {trigger} after it did."
                self._report(sequence, Problem.PASSED_OVER, text)

    def _ended(self, event: AxonEvent) -> None:
        turn_id = self._payload(event).get("turn_id")
        if turn_id is None:  # a request outside any turn has failed; no turn ends by it
            return
        name = self._mount_of.get(turn_id) if isinstance(turn_id, str) else None
        if name is None:
            text = f"{event.event_type} {event.sequence} ends {turn_id}, which never started."
            self._report(event.sequence, Problem.NOT_STARTED, text)
            return
        if turn_id in self._is_ended:
            text = f"Turn {turn_id} ends a second time ({event.event_type})."
            self._report(event.sequence, Problem.SECOND_END, text)
        self._is_ended.add(turn_id)
        if self._mounts[name].open_turn == turn_id:
            self._mounts[name].open_turn = None

    def _within(self, event: AxonEvent) -> None:
        turn_id = self._payload(event).get("turn_id")
        if turn_id in self.open_turns if turn_id is not None else self.open_turns:
            return
        where = f"after the end of turn {turn_id}" if turn_id in self._is_ended else "in no turn"
        text = f"{event.event_type} {event.sequence} stands {where}."
        self._report(event.sequence, Problem.OUTSIDE_TURN, text)

    def _payload(self, event: AxonEvent) -> Mapping[str, Any]:
        try:
            value = json.loads(event.payload)
        except ValueError:
            value = None
        return value if isinstance(value, dict) else {}

    def _report(self, sequence: int, problem: Problem, message: str) -> None:
        self.findings.append(Finding(sequence, problem, message))


def verify(
    events: Iterable[AxonEvent],
    acknowledged: Mapping[int, str] | None = None,
    *,
    is_idle: bool = False,
) -> list[Finding]:
    """All findings on one axon's events, from its first on; [] means every promise was kept.

    `acknowledged`: payloads by the sequence that the publisher was told. `is_idle`: nothing works
    any more, so every turn must have ended.
    """
    checker = Checker(acknowledged)
    for event in events:
        checker.feed(event)
    return checker.finish(is_idle=is_idle)


def _mount_name(turn_id: str, trigger: int) -> str:
    """The mount's part of a turn id; ids of another form count as those of one mount."""
    name, _, last = turn_id.rpartition("_")
    return name if last == str(trigger) else ""
