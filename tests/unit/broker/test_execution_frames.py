"""What is said on the line: calls that are read, and those that are not; records; last lines."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.internal import CallAnswer, ExecutingReport
from ranvier_broker.executions import frames, tails
from ranvier_broker.executions.events import Execution, Phase


def call(**members: object) -> str:
    return json.dumps({"call": 7, **members})


def test_a_call_is_read() -> None:
    number, read = frames.parse(
        call(op="read", execution_id="exe_1", output="stderr", offset=3, bytes_max=10**9, wait_ms=1)
    )
    assert number == "7"
    assert read == frames.Read("exe_1", "stderr", 3, frames.PIECE_BYTES_MAX, 1)
    _, write = frames.parse(call(op="write", execution_id="exe_1", data="AP8=", ends=True))
    assert write == frames.Write("exe_1", b"\0\xff", "", True)
    _, state = frames.parse(call(op="state", execution_id="exe_1", last_n=2, wait_ms=10**9))
    assert state == frames.State("exe_1", 2, frames.WAIT_MS_MAX)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"op": "dance"},
        {"op": "forget"},
        {"op": "forget", "execution_id": "exe_../../etc"},
        {"op": "forget", "execution_id": "exe_a b"},
        {"op": "forget", "execution_id": "exe_a\nreset x"},
        {"op": "forget", "execution_id": "exe_"},
        {"op": "forget", "execution_id": "other"},
        {"op": "forget", "execution_id": "exe_" + "a" * 100},
        {"op": "forget", "execution_id": "exe_ä"},
        {"op": "signal", "execution_id": "exe_1", "name": "KILL 1"},
        {"op": "write", "execution_id": "exe_1", "data": "!"},
        {"op": "read", "execution_id": "exe_1", "output": "record.json", "offset": 0},
    ],
)
def test_a_call_that_makes_no_sense_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(frames.BadCall):
        frames.parse(call(**members))
    assert frames.number_of(call(**members)) == "7"


def test_answers_are_what_the_api_server_reads() -> None:
    assert CallAnswer.model_validate(frames.done(a=1)).ok == {"a": 1}
    error = CallAnswer.model_validate(frames.failed("stdin_full", "why")).error
    assert error is not None
    assert (error.code, error.message) == ("stdin_full", "why")
    assert ExecutingReport.model_validate({"generation": 2, "executing": True}).executing


@given(
    st.builds(
        Execution,
        st.just("exe_1"),
        st.text(),
        st.booleans(),
        st.integers(0, 2**40),
        seconds_max=st.integers(0, 1000),
        phase=st.sampled_from(Phase),
        exit_status=st.none() | st.integers(0, 255),
        input_ended=st.booleans(),
        dropped=st.booleans(),
        size=st.integers(0, 2**40),
        ended_ms=st.integers(0, 2**42),
    )
)
def test_a_record_tells_the_next_sidecar_everything(execution: Execution) -> None:
    assert frames.from_record(frames.record(execution)) == execution


@given(st.binary(max_size=400).map(lambda b: b.replace(b"x", b"\n")), st.integers(0, 6))
def test_the_last_lines_are_those_of_the_whole(data: bytes, lines: int) -> None:
    def read(offset: int, count: int) -> bytes:
        return data[offset : offset + count]

    tail, is_more = tails.last_lines(read, len(data), lines)
    assert data.endswith(tail)
    assert is_more == (len(tail) < len(data))
    ends = data.split(b"\n")
    pieces = [end + b"\n" for end in ends[:-1]] + ([ends[-1]] if ends[-1] else [])
    assert tail == b"".join(pieces[max(0, len(pieces) - lines) :])


def test_a_line_that_is_too_long_is_cut_in_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tails, "TAIL_BYTES_MAX", 10)
    data = b"a" * 50 + b"\n"
    tail, is_more = tails.last_lines(lambda o, n: data[o : o + n], len(data), 1)
    assert (tail, is_more) == (data[-10:], True)
