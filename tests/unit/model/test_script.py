"""Directives are found wherever they stand in a prompt."""

import pytest
from scripted import script


def found(prompt: str) -> list[tuple[str, str]]:
    return [(step.verb, step.argument) for step in script.steps(prompt)]


def test_directives_are_found_between_what_an_agent_adds() -> None:
    prompt = "<context>\n[[bash echo hi > proof.txt]]\nand then [[text All done.]] </context> bye"
    assert found(prompt) == [("bash", "echo hi > proof.txt"), ("text", "All done.")]


def test_a_directive_may_have_no_argument_and_may_span_lines() -> None:
    assert found("[[history]] [[write a.txt :: one\ntwo]]") == [
        ("history", ""),
        ("write", "a.txt :: one\ntwo"),
    ]


def test_a_step_knows_its_place_among_all_directives() -> None:
    assert [step.place for step in script.steps("[[text a]] [[text b]] [[text c]]")] == [0, 1, 2]


@pytest.mark.parametrize(
    ("prompt", "times"),
    [
        ("[[http 429 x2]]", 2),
        ("[[drop x1]]", 1),
        ("[[badsse x10]]", 10),
        ("[[http 429]]", None),
        ("[[drop]]", None),
        ("[[text counted x3]]", None),
    ],
)
def test_only_faults_are_counted(prompt: str, times: int | None) -> None:
    assert script.steps(prompt)[0].times == times


def test_prose_is_what_is_left_without_directives() -> None:
    assert script.prose("My word is PELICAN. [[text hello]]") == "My word is PELICAN."


def test_words_put_together_are_the_text_again() -> None:
    assert script.words("one two  three") == ("one ", "two  ", "three")
    assert script.words("") == ("",)
