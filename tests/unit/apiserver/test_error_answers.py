"""Every error has its answer, and none makes a client retry what can not succeed."""

import json

import pytest
from ranvier_apiserver import errors, problems
from ranvier_apiserver.errors import RanvierError
from starlette.datastructures import Headers

RETRIED = {408, 409, 429}

ALL = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, RanvierError) and kind is not RanvierError
]


@pytest.mark.parametrize("kind", ALL)
def test_every_error_stands_in_the_table(kind: type[RanvierError]) -> None:
    assert kind in problems.PROBLEMS


@pytest.mark.parametrize("kind", ALL)
def test_a_retried_status_says_when_or_says_never(kind: type[RanvierError]) -> None:
    problem = problems.PROBLEMS[kind]
    headers = Headers(dict(problem.headers))
    if problem.status in RETRIED or problem.status >= 500:
        assert "retry-after-ms" in headers or headers.get("x-should-retry") == "false"


def test_a_fenced_broker_is_told_to_stop() -> None:
    answer = problems.answer(errors.Fenced("You were replaced."))
    assert (answer.status_code, answer.headers["x-should-retry"]) == (409, "false")
    assert json.loads(bytes(answer.body)) == {"code": "fenced", "message": "You were replaced."}


def test_what_is_not_ours_to_explain_says_nothing_about_itself() -> None:
    answer = problems.answer(ValueError("a secret"))
    assert answer.status_code == 500
    assert b"secret" not in bytes(answer.body)
