"""The journal checker: silent on what the broker may write, loud on every planted fault."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.events import TURN_TERMINALS, AxonEvent, Origin
from ranvier.verify import Problem, verify


class Journal:
    """Writes what a user and a broker of one mount write."""

    def __init__(self, mount: str = "trn_box_0") -> None:
        self.events: list[AxonEvent] = []
        self.mount = mount

    def put(self, origin: Origin, event_type: str, source: str = "broker", **payload: Any) -> int:
        sequence = len(self.events) + 1
        text = json.dumps(payload)
        event = AxonEvent("axn", sequence, 1000 + sequence, origin, source, event_type, text)
        self.events.append(event)
        return sequence

    def ask(self) -> int:
        return self.put(Origin.USER, "user.message", "app", content="hi")

    def start(self, trigger: int) -> str:
        turn_id = f"{self.mount}_{trigger}"
        self.put(Origin.SYSTEM, "turn.started", turn_id=turn_id, trigger_sequence=trigger)
        return turn_id

    def say(self) -> None:
        self.put(Origin.AGENT, "turn.message_chunk", content="hello")

    def end(self, turn_id: str, event_type: str = "turn.completed") -> None:
        self.put(Origin.SYSTEM, event_type, turn_id=turn_id)

    def turn(self) -> None:
        turn_id = self.start(self.ask())
        self.say()
        self.end(turn_id)


def renumbered(events: list[AxonEvent]) -> list[AxonEvent]:
    return [replace(event, sequence=number) for number, event in enumerate(events, 1)]


def problems(events: list[AxonEvent], **more: Any) -> list[Problem]:
    return [finding.problem for finding in verify(events, **more)]


@pytest.fixture
def journal() -> Journal:
    return Journal()


def test_good_turns_a_failed_request_and_an_open_turn_are_no_findings(journal: Journal) -> None:
    journal.put(Origin.USER, "initialize", "app")
    journal.put(Origin.AGENT, "initialize", ok=True)
    journal.put(Origin.SYSTEM, "turn.failed", method="session/load", reason="request_failed")
    journal.turn()
    journal.put(Origin.AGENT, "session/update", sessionId="s")
    journal.put(Origin.AGENT, "turn.message_chunk", "a script of somebody's", content="mine")
    journal.start(journal.ask())
    assert problems(journal.events) == []
    assert problems(journal.events, is_idle=True) == [Problem.NOT_ENDED]


def test_a_lost_event_shows_as_a_gap_and_an_acknowledged_one_by_name(journal: Journal) -> None:
    journal.turn()
    journal.turn()
    told = {1: '{"content": "hi"}', 9: "late"}
    assert verify(journal.events[:2] + journal.events[3:])[0].message == (
        "Event 3 is missing before event 4."
    )
    assert problems(journal.events, acknowledged=told) == [Problem.LOST]
    assert problems(journal.events, acknowledged={1: "other"}) == [Problem.LOST]


def test_a_prompt_that_was_passed_over_is_a_loss_though_no_number_is_missing(
    journal: Journal,
) -> None:
    journal.turn()
    lost, taken = journal.ask(), journal.ask()
    journal.end(journal.start(taken))
    [finding] = verify(journal.events)
    assert (finding.problem, finding.sequence) == (Problem.PASSED_OVER, lost)


def test_a_second_start_a_second_end_and_a_late_word_are_found(journal: Journal) -> None:
    journal.turn()
    journal.end(journal.start(1))
    assert problems(journal.events) == [Problem.SECOND_START, Problem.SECOND_END]
    late = Journal()
    late.turn()
    late.say()
    late.put(Origin.SYSTEM, "turn.tool_call", turn_id="trn_box_0_1")
    assert problems(late.events) == [Problem.OUTSIDE_TURN] * 2


def test_two_turns_at_once_are_found_unless_they_are_of_two_mounts(journal: Journal) -> None:
    journal.start(journal.ask())
    journal.start(journal.ask())
    assert problems(journal.events) == [Problem.TWO_AT_ONCE]
    both = Journal()
    trigger = both.ask()
    first = both.start(trigger)
    both.mount = "trn_box_1"
    both.end(both.start(trigger))
    both.end(first)
    assert problems(both.events) == []


def test_turns_out_of_nothing_are_found(journal: Journal) -> None:
    journal.put(Origin.AGENT, "user.message", "app")
    journal.end(journal.start(1))
    journal.end("trn_never")
    journal.put(Origin.SYSTEM, "turn.started", note="no ids")
    assert problems(journal.events) == [
        Problem.NO_TRIGGER,
        Problem.NOT_STARTED,
        Problem.UNREADABLE,
    ]


def test_order_and_time_never_go_back(journal: Journal) -> None:
    first, second = journal.ask(), journal.ask()
    journal.end(journal.start(second))
    journal.end(journal.start(first))
    assert problems(journal.events) == [Problem.OUT_OF_ORDER]
    late = replace(journal.events[-1], timestamp_ms=5)
    assert Problem.TIME_BACK in problems([*journal.events[:-1], late])


steps = st.lists(st.sampled_from(["ask", "start", "say", "end", "control", "outside"]), max_size=60)


@given(steps=steps, terminal=st.sampled_from(sorted(TURN_TERMINALS)), where=st.integers(0, 1000))
def test_random_good_journals_are_clean_and_planted_faults_are_found(
    steps: list[str], terminal: str, where: int
) -> None:
    journal = Journal()
    waiting: list[int] = []
    open_turn: str | None = None
    for step in steps:
        if step == "ask":
            waiting.append(journal.ask())
        elif step == "start" and waiting and open_turn is None:
            open_turn = journal.start(waiting.pop(0))
        elif step == "say" and open_turn:
            journal.say()
        elif step == "end" and open_turn:
            journal.end(open_turn, terminal)
            open_turn = None
        elif step == "control":
            journal.put(Origin.USER, "session/cancel", "app")
        elif step == "outside":
            journal.put(Origin.AGENT, "session/update")
    events = journal.events
    assert problems(events) == []
    if not events:
        return
    at = where % len(events)
    if at < len(events) - 1:
        assert Problem.GAP in problems(events[:at] + events[at + 1 :])
    assert Problem.REPEATED in problems(events[: at + 1] + events[at:])
    if events[at].event_type in {"turn.started", terminal}:
        doubled = renumbered(events[: at + 1] + events[at:])
        wrong = {Problem.SECOND_START, Problem.SECOND_END, Problem.NO_TRIGGER}
        assert wrong & set(problems(doubled))
    if events[at].event_type == terminal and at == len(events) - 1:
        assert Problem.NOT_ENDED in problems(events[:at], is_idle=True)
