"""The Claude codec alone: lines and axon events in, facts out."""

import json
from typing import Any

import pytest
from broker_playbook import Talk, axon_event, sent
from claude_words import QUERY, answer, control, fresh_talk, open_turn, out, result
from ranvier.events import Origin
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Garbage,
    Remember,
    RequestFailed,
    Route,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)
from ranvier_broker.codecs.claude import ClaudeCodec


@pytest.fixture
def talk() -> Talk:
    return fresh_talk()


# --- what is what


@pytest.mark.parametrize(
    ("event_type", "value", "route"),
    [
        ("query", QUERY, Route.TURN),
        ("query", "no JSON", Route.TURN),
        ("user.message", {"content": "hi"}, Route.TURN),
        ("anything", QUERY, Route.TURN),  # nothing that the agent takes for a prompt passes by
        ("control_request", control("r", "interrupt"), Route.CANCEL),
        ("control_request", control("r", "initialize"), Route.CONTROL),
        ("query", control("r", "interrupt"), Route.CANCEL),
        ("control_response", {"type": "control_response", "response": {}}, Route.ANSWER),
        ("control_request", "no JSON", Route.CONTROL),
        ("something_new", {"type": "something_new"}, Route.CONTROL),
    ],
)
def test_an_event_is_routed_by_what_the_agent_would_take_it_for(
    talk: Talk, event_type: str, value: Any, route: Route
) -> None:
    assert talk.codec.route(axon_event(1, event_type, value)) is route


def test_an_external_event_is_a_turn_whatever_it_says(talk: Talk) -> None:
    event = axon_event(1, "push", control("r", "interrupt"), Origin.EXTERNAL)
    assert talk.codec.route(event) is Route.TURN


# --- lines


def test_a_line_is_published_as_it_came(talk: Talk) -> None:
    line = b' {"uuid" : 1e400, "type":"rate_limit_event","a":1,"a":2}'
    assert talk.agent(line + b"\n") == [Said("rate_limit_event", line.decode())]


@pytest.mark.parametrize(
    ("line", "why"),
    [(b"oops", "not JSON"), (b"[1]", "not an object with a type"), (b"\xff", "not UTF-8")],
)
def test_what_is_no_message_is_garbage(talk: Talk, line: bytes, why: str) -> None:
    [fact] = talk.agent(line + b"\n")
    assert isinstance(fact, Garbage)
    assert fact.why == why


def test_a_line_over_the_limit_is_a_complaint_and_the_next_is_heard() -> None:
    talk = Talk(ClaudeCodec("/", line_bytes_max=100))
    talk.begin()
    [complaint, said] = talk.agent(b"x" * 101 + b"\n" + out("keep_alive"))
    assert isinstance(complaint, Complaint)
    assert complaint.kind == "line_too_long"
    assert isinstance(said, Said)


def test_a_client_that_sends_no_json_can_not_kill_the_agent(talk: Talk) -> None:
    told = talk.client("control_request", "{oops")
    assert [type(fact) for fact in told] == [RequestFailed, Settled]
    [end] = talk.prompt(axon_event(50, "query", "{oops"))
    assert isinstance(end, TurnEnded)
    assert (end.ending, end.reason) == (Ending.FAILED, "invalid_payload")


def test_a_client_may_write_its_json_on_many_lines(talk: Talk) -> None:
    told = talk.prompt(axon_event(50, "query", json.dumps(QUERY, indent=2)))
    [fact] = told
    assert isinstance(fact, ToAgent)
    assert fact.data.count(b"\n") == 1
    assert sent(told) == [QUERY]


# --- turns


def test_a_result_ends_the_turn_with_reason_and_usage(talk: Talk) -> None:
    open_turn(talk)
    line = result(stop_reason="end_turn", terminal_reason="completed", usage={"output_tokens": 3})
    said, end = talk.agent(line)
    assert said == Said("result", line.decode().strip())
    assert end == TurnEnded(Ending.COMPLETED, stop_reason="end_turn", usage={"output_tokens": 3})


@pytest.mark.parametrize(
    ("members", "ending", "reason"),
    [
        ({"is_error": True, "terminal_reason": "api_error", "result": "429"}, "failed", "429"),
        ({"is_error": True, "terminal_reason": "aborted_streaming"}, "cancelled", None),
        ({"is_error": True, "terminal_reason": "aborted_tools"}, "cancelled", None),
        ({"is_error": True, "subtype": "error_max_turns"}, "failed", "error_max_turns"),
        ({"is_error": False, "subtype": "error_during_execution"}, "completed", None),
    ],
)
def test_a_results_subtype_alone_is_not_believed(
    talk: Talk, members: dict[str, Any], ending: str, reason: str | None
) -> None:
    open_turn(talk)
    end = talk.agent(result(**members))[-1]
    assert isinstance(end, TurnEnded)
    assert end.ending == ending
    assert reason is None or reason in (end.error or "")


def test_a_result_outside_a_turn_is_passed_on_and_ends_nothing(talk: Talk) -> None:
    [said] = talk.agent(result())
    assert isinstance(said, Said)


def test_any_end_after_an_accepted_interrupt_is_a_cancel(talk: Talk) -> None:
    open_turn(talk)
    event = axon_event(60, "control_request", control("stop", "interrupt"))
    assert sent(list(talk.codec.cancel(event, talk.now_ms))) == [control("stop", "interrupt")]
    [said] = talk.agent(answer("stop"))
    assert isinstance(said, Said)
    end = talk.agent(result(is_error=True, terminal_reason="api_error"))[-1]
    assert isinstance(end, TurnEnded)
    assert end.ending is Ending.CANCELLED


def test_an_interrupts_late_answer_does_not_cancel_the_next_turn(talk: Talk) -> None:
    open_turn(talk)
    talk.codec.cancel(axon_event(60, "control_request", control("stop", "interrupt")), 0)
    talk.agent(result())
    open_turn(talk)
    talk.agent(answer("stop"))
    end = talk.agent(result(stop_reason="end_turn"))[-1]
    assert isinstance(end, TurnEnded)
    assert end.ending is Ending.COMPLETED


def test_the_brokers_own_interrupt_stays_off_the_axon(talk: Talk) -> None:
    open_turn(talk)
    [stop] = sent(list(talk.codec.cancel(None, talk.now_ms)))
    assert stop["request_id"].startswith("ranvier-")
    assert talk.agent(answer(stop["request_id"])) == []


def test_an_interrupt_for_an_earlier_turn_is_answered_and_kept_from_the_agent(talk: Talk) -> None:
    event = axon_event(60, "control_request", control("stop", "interrupt"))
    [said] = talk.codec.late_cancel(event)
    assert isinstance(said, Said)
    response = json.loads(said.payload)["response"]
    assert (response["subtype"], response["request_id"]) == ("success", "stop")


# --- control requests of clients


def test_a_clients_request_is_settled_by_its_answer(talk: Talk) -> None:
    request = control("req_1", "initialize")
    assert sent(talk.client("control_request", request)) == [request]
    told = talk.agent(answer("req_1", response={"commands": []}))
    assert [type(fact) for fact in told] == [Remember, Said, Settled]


def test_a_request_without_an_answer_fails_by_name(talk: Talk) -> None:
    talk.client("control_request", control("req_1", "set_model"))
    [failed, settled] = talk.codec.end("the agent exited with status 1")
    assert isinstance(failed, RequestFailed)
    assert failed.method == "control_request set_model"
    assert settled == Settled(1)


def test_two_requests_of_one_id_are_both_settled(talk: Talk) -> None:
    talk.client("control_request", control("same", "initialize"))
    assert Settled(1) in talk.client("control_request", control("same", "initialize"))
    assert Settled(2) in talk.agent(answer("same"))


def test_a_message_of_unknown_type_passes_and_is_settled(talk: Talk) -> None:
    told = talk.client("something_new", {"type": "something_new"})
    assert [type(fact) for fact in told] == [Settled, ToAgent]


# --- questions of the agent


def ask(request_id: str) -> bytes:
    return json.dumps(control(request_id, "can_use_tool", tool_name="Bash")).encode() + b"\n"


def reply(request_id: str) -> dict[str, Any]:
    response = {"subtype": "success", "request_id": request_id, "response": {"behavior": "allow"}}
    return {"type": "control_response", "response": response}


def test_questions_are_answered_by_their_ids_in_any_order(talk: Talk) -> None:
    open_turn(talk)
    first, second = talk.agent(ask("a") + ask("b"))
    assert isinstance(first, Asked)
    assert isinstance(second, Asked)
    event = axon_event(60, "control_response", reply("b"))
    assert talk.codec.question_of(event) == second.question
    assert sent(list(talk.codec.answer(second.question, event))) == [reply("b")]
    assert talk.codec.question_of(event) is None
    assert talk.codec.has_question


def test_a_withdrawn_question_has_no_answer_any_more(talk: Talk) -> None:
    talk.agent(ask("a"))
    talk.agent(out("control_cancel_request", request_id="a"))
    assert not talk.codec.has_question
    assert talk.codec.question_of(axon_event(60, "control_response", reply("a"))) is None


def test_a_question_larger_than_an_event_is_refused(talk: Talk) -> None:
    asked = control("a", "can_use_tool", input="x" * 5_000_000)
    told = talk.agent(json.dumps(asked).encode() + b"\n")
    [refusal] = sent(told)
    assert refusal["response"]["subtype"] == "error"
    assert isinstance(told[-1], Complaint)
    assert not talk.codec.has_question
