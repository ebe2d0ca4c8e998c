"""Events that follow from commands wait their turn."""

import pytest
from ranvier_broker.feeding import Feed


def test_what_a_command_leads_to_comes_after_the_commands_beside_it() -> None:
    done: list[str] = []

    def perform(command: str) -> None:
        done.append(command)
        if command == "a1":
            feed("b")
            done.append("a1 is over")

    feed = Feed[str, str](lambda e: [f"{e}1", f"{e}2"], perform, lambda: done.append("settled"))
    feed("a")
    assert done == ["a1", "a1 is over", "a2", "b1", "b2", "settled"]


def test_after_a_failure_the_next_event_is_handled() -> None:
    done: list[str] = []

    def handle(event: str) -> list[str]:
        if event == "bad":
            raise ValueError(event)
        return [event]

    feed = Feed[str, str](handle, done.append, lambda: done.append("settled"))
    with pytest.raises(ValueError, match="bad"):
        feed("bad")
    feed("good")
    assert done == ["settled", "good", "settled"]
