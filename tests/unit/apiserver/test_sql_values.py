"""SQL values as JSON: what goes in as a parameter comes out as it was."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier_apiserver.axon_sql import values, wire
from ranvier_apiserver.axon_sql.wire import Job, Outcome, Reply, Statement

sql_values = st.one_of(
    st.none(),
    st.integers(values.INTEGER_MIN, values.INTEGER_MAX),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(),
)


@given(st.lists(sql_values))
def test_every_value_survives_the_round_trip(row: list[values.SqlValue]) -> None:
    read = json.loads(values.row_json(row))
    back = [values.parameter(value) for value in read]
    assert back == row
    assert [type(value) for value in back] == [type(value) for value in row]


def test_infinity_is_json_that_every_parser_reads() -> None:
    text = values.row_json([math.inf, -math.inf])
    assert text == "[1e999,-1e999]"
    assert json.loads(text, parse_constant=pytest.fail) == [math.inf, -math.inf]


def test_truth_is_a_whole_number() -> None:
    assert [values.parameter(True), values.parameter(False)] == [1, 0]


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (2**63, "64 bits"),
        ([1], "JSON text"),
        ({"a": 1}, "JSON text"),
        ({"base64": "AA==", "more": 1}, "JSON text"),
        ({"base64": "!"}, "base64"),
        ("\ud800", "surrogate"),
    ],
)
def test_what_is_no_value_is_refused_with_what_to_send(value: object, says: str) -> None:
    with pytest.raises(values.NotAValue, match=says):
        values.parameter(value)


def test_jobs_and_replies_pass_the_pipe_unchanged() -> None:
    job = Job("axn_1", 7, True, [Statement("SELECT ?", [1, "\ud800", None])], False, "ff", 12)
    frame = wire.job_frame(job)
    body = frame[wire.LENGTH_BYTES :]
    assert wire.length_of(frame[: wire.LENGTH_BYTES]) == len(body)
    assert wire.job_from(body) == job
    reply = Reply(Outcome.SQL_ERROR, "naïve".encode())
    assert wire.reply_from(wire.reply_frame(reply)[wire.LENGTH_BYTES :]) == reply
