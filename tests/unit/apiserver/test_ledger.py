"""The oracle of the crash tests notices each kind of fault; else it would prove nothing."""

import pytest
from ledger import Ledger, Stored

GOOD = [(1, "a"), (2, "b"), (3, "c")]


@pytest.fixture
def ledger() -> Ledger:
    """a is acknowledged, b was seen only, c and d were only sent."""
    subject = Ledger()
    for payload in "abcd":
        subject.send("axn", payload)
    subject.acknowledge("axn", 1, "a")
    subject.see("axn", 1, "a")
    subject.see("axn", 2, "b")
    return subject


@pytest.mark.parametrize("stored", [GOOD, GOOD[:2], [*GOOD, (4, "d")]])
def test_what_nobody_heard_of_may_be_there_or_not(ledger: Ledger, stored: Stored) -> None:
    ledger.check("axn", stored)


@pytest.mark.parametrize(
    ("stored", "fault"),
    [
        ([], "acknowledged events were lost"),
        ([(1, "a")], "visible events were lost"),
        ([(1, "a"), (2, "c"), (3, "b")], "visible events were lost"),
        ([(1, "a"), (3, "b")], "a gap"),
        ([(1, "a"), (2, "b"), (2, "b")], "a sequence twice"),
        ([(1, "a"), (2, "b"), (3, "a")], "doubled"),
        ([(1, "a"), (2, "b"), (3, "x")], "nobody sent"),
    ],
)
def test_every_fault_is_named(ledger: Ledger, stored: Stored, fault: str) -> None:
    with pytest.raises(AssertionError, match=fault):
        ledger.check("axn", stored)


def test_two_words_about_one_sequence_are_refused_at_once(ledger: Ledger) -> None:
    with pytest.raises(AssertionError, match="two publishers"):
        ledger.acknowledge("axn", 1, "b")
    with pytest.raises(AssertionError, match="became another"):
        ledger.see("axn", 2, "c")


def test_when_all_is_settled_there_is_nothing_else(ledger: Ledger) -> None:
    ledger.acknowledge("axn", 2, "b")
    ledger.check_settled("axn", GOOD[:2])
    with pytest.raises(AssertionError, match="nobody was told"):
        ledger.check_settled("axn", GOOD)
