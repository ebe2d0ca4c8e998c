"""The checker of concurrent histories finds each kind of fault; else it would prove nothing."""

import pytest
from histories import Call, Publish, Read, faults

FINAL = ["a", "b", "c"]


@pytest.mark.parametrize(
    "calls",
    [
        [Publish(1, 2, 1, "a"), Publish(3, 4, 2, "b"), Read(5, 6, 0, ("a", "b"))],
        [Publish(1, 9, 2, "b"), Publish(2, 3, 1, "a"), Read(4, 5, 0, ("a",))],
        [Read(1, 9, 0, ("a", "b", "c")), Publish(2, 3, 3, "c"), Read(4, 5, 2, ("c",))],
    ],
)
def test_calls_that_overlap_may_take_effect_in_any_order(calls: list[Call]) -> None:
    assert faults(calls, FINAL) == []


@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        ([Publish(1, 2, 1, "b")], "not in the history"),
        ([Publish(1, 2, 4, "d")], "not in the history"),
        ([Read(1, 2, 0, ("a", "c"))], "no piece of the history"),
        ([Publish(1, 2, 2, "b"), Publish(3, 4, 1, "a")], "comes not after"),
        ([Publish(1, 2, 2, "b"), Read(3, 4, 0, ("a",))], "does not show"),
        ([Read(3, 4, 0, ("a",)), Read(1, 2, 0, ("a", "b"))], "does not show"),
        ([Read(1, 2, 0, ("a", "b")), Publish(3, 4, 2, "b")], "comes not after"),
    ],
)
def test_every_fault_is_told(calls: list[Call], fault: str) -> None:
    (found,) = faults(calls, FINAL)
    assert fault in found
