"""The book of executions: order of report, record and start; what a listing says; what is kept."""

import pytest
from ranvier_broker.executions import book, commands, events
from ranvier_broker.executions.book import Book, Refused, TooMany
from ranvier_broker.executions.events import Execution, Phase


def asked(name: str = "exe_a", **fields: object) -> events.Asked:
    return events.Asked(Execution(name, "true", False, 1000, **fields))  # type: ignore[arg-type]


def running(*names: str, **fields: object) -> Book:
    """A book in which these run."""
    made = Book()
    for name in names:
        made.handle(asked(name, **fields), 0)
    made.handle(events.Told(True), 0)
    for name in names:
        made.handle(events.Spawned(name, 1), 0)
        made.handle(events.Started(name), 0)
    return made


def kinds(found: list[commands.Command]) -> list[str]:
    return [type(each).__name__ for each in found]


def test_nothing_starts_before_the_journal_knows() -> None:
    made = Book()
    assert kinds(made.handle(asked(), 0)) == ["Save", "Report"]
    assert kinds(made.handle(asked("exe_b"), 0)) == ["Save"]
    assert kinds(made.handle(events.Told(True), 0)) == ["Save", "Spawn"] * 2
    assert kinds(made.handle(asked("exe_c"), 0)) == ["Save", "Save", "Spawn"]


def test_one_that_comes_while_the_end_is_told_waits_for_its_own_report() -> None:
    made = running("exe_a")
    made.handle(events.Exited("exe_a", 0), 0)
    ended = made.handle(events.Drained("exe_a", 5), 0)
    assert ended[-1] == commands.Report(False)
    assert kinds(made.handle(asked("exe_b"), 0)) == ["Save"]
    assert made.handle(events.Told(False), 0) == [commands.Report(True)]
    assert kinds(made.handle(events.Told(True), 0)) == ["Save", "Spawn"]


def test_a_sleep_that_was_first_refuses_what_waits_and_what_comes() -> None:
    made = Book()
    made.handle(asked(), 0)
    assert made.handle(events.Fenced(), 0) == [commands.Forget("exe_a")]
    with pytest.raises(Refused):
        made.handle(asked("exe_b"), 0)


def test_asking_again_changes_nothing() -> None:
    made = running("exe_a")
    assert made.handle(asked(), 0) == []


def test_more_than_may_be_under_way_are_refused() -> None:
    made = running(*(f"exe_{i}" for i in range(book.OPEN_MAX)))
    with pytest.raises(TooMany):
        made.handle(asked("exe_more"), 0)


def test_an_end_is_told_when_the_output_is_whole() -> None:
    made = running("exe_a")
    assert made.handle(events.Exited("exe_a", 3), 0) == [commands.Drain("exe_a")]
    assert made.executions["exe_a"].is_open
    found = made.handle(events.Drained("exe_a", 7), 9)
    assert kinds(found) == ["Save", "Release", "Report"]
    done = made.executions["exe_a"]
    assert (done.phase, done.exit_status, done.size) == (Phase.COMPLETED, 3, 7)


def test_signals_and_the_end_of_input_wait_for_the_start() -> None:
    made = Book()
    made.handle(events.Asked(Execution("exe_a", "cat", True, 1000)), 0)
    made.handle(events.Signalled("exe_a", "INT"), 0)
    made.handle(events.InputEnded("exe_a"), 0)
    made.handle(events.Told(True), 0)
    made.handle(events.Spawned("exe_a", 1), 0)
    found = made.handle(events.Started("exe_a"), 0)
    assert kinds(found) == ["Save", "Signal", "EndInput"]
    assert made.handle(events.InputEnded("exe_a"), 0) == []


def test_the_next_sidecar_finds_out_what_became_of_each() -> None:
    before = running("exe_lives", "exe_ended", "exe_lost", "exe_untouched")
    made = Book(before.executions.values())
    assert made.handle(events.Begun(), 0) == [commands.Report(True)]
    listing = events.Listed(
        frozenset({"exe_lives", "exe_ended"}), 1, {"exe_ended": 5}, frozenset({"exe_untouched"})
    )
    found = made.handle(listing, 0)
    assert commands.Drain("exe_ended") in found
    assert commands.Spawn("exe_untouched") in found
    assert made.executions["exe_ended"].exit_status == 5
    assert made.executions["exe_lost"].exit_status == book.LOST_STATUS
    assert made.executions["exe_lives"].phase is Phase.RUNNING


def test_a_listing_says_nothing_of_what_was_asked_after_it() -> None:
    made = running("exe_a")
    assert made.handle(events.Listed(frozenset(), 1, {}, frozenset()), 0) == []
    found = made.handle(events.Listed(frozenset(), 2, {}, frozenset()), 0)
    assert found == [commands.Drain("exe_a")]


def test_a_keeper_that_was_never_released_is_when_the_next_listing_names_it() -> None:
    made = running("exe_a")
    made.handle(events.Exited("exe_a", 0), 0)
    made.handle(events.Drained("exe_a", 0), 0)
    again = Book(made.executions.values())
    found = again.handle(events.Listed(frozenset({"exe_a"}), 1, {}, frozenset()), 0)
    assert found == [commands.Release("exe_a")]


def test_the_oldest_output_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "KEPT_BYTES_MAX", 10)
    monkeypatch.setattr(book, "KEPT_MAX", 2)
    made = running("exe_a", "exe_b", "exe_c", "exe_d")
    forgotten = []
    for now, (name, size) in enumerate([("exe_a", 1), ("exe_b", 1), ("exe_c", 1), ("exe_d", 50)]):
        made.handle(events.Exited(name, 0), now)
        found = made.handle(events.Drained(name, size), now)
        forgotten.append([each.execution_id for each in found if isinstance(each, commands.Forget)])
    assert forgotten == [[], [], ["exe_a"], ["exe_b", "exe_c"]]


def test_what_is_dropped_is_ended_and_then_forgotten() -> None:
    made = running("exe_a")
    assert kinds(made.handle(events.Dropped("exe_a"), 0)) == ["Save", "Signal"]
    made.handle(events.Exited("exe_a", 143), 0)
    found = made.handle(events.Drained("exe_a", 0), 0)
    assert kinds(found) == ["Save", "Release", "Forget", "Report"]
    assert made.executions == {}
