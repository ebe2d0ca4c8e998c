"""The Pi codec: turns, aborts, dialogs, and what each side is told."""

import json
from typing import Any

import pytest
from broker_playbook import Talk, axon_event, sent
from ranvier.events import AxonEvent
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Fact,
    Garbage,
    Ready,
    Remember,
    RequestFailed,
    Route,
    Said,
    Settled,
    TurnEnded,
)
from ranvier_broker.codecs.pi import PiCodec
from ranvier_broker.codecs.waiting import ANSWER_MS_MAX

FILE = "/home/user/.pi/agent/sessions/s1.jsonl"
PROMPT = {"id": "p1", "type": "prompt", "message": "hi"}


def out(kind: str, **members: Any) -> bytes:
    return json.dumps({"type": kind, **members}).encode() + b"\n"


def response(request_id: str | None, command: str, data: Any = None, **more: Any) -> bytes:
    named = {"id": request_id} if request_id is not None else {}
    told = {"data": data} if data is not None else {}
    return out("response", **named, command=command, **{"success": True, **told, **more})


def answer(reason: str = "stop", **more: Any) -> bytes:
    usage = {"input": 100, "output": 10, "cost": {"total": 0.5}}
    return out(
        "message_end", message={"role": "assistant", "usage": usage, "stopReason": reason, **more}
    )


def settled(*, aborted: bool = False) -> bytes:
    return out("agent_settled", aborted=aborted)


@pytest.fixture
def talk() -> Talk:
    """A fresh process, greeted."""
    talk = Talk(PiCodec("/home/user"))
    told = talk.begin()
    assert sent(told) == [{"id": "broker-1", "type": "get_state"}]
    assert Ready() in told, "a prompt may go out before the agent has answered"
    state = {"sessionFile": FILE, "messageCount": 0}
    assert talk.agent(response("broker-1", "get_state", state)) == []
    return talk


def open_turn(talk: Talk, value: Any = PROMPT) -> None:
    """A turn whose run has begun."""
    told = talk.prompt(axon_event(50, "turn/start", value))
    assert sent(told) == [value]
    talk.agent(response(value.get("id"), "prompt", {"disposition": "started"}))
    talk.agent(out("agent_start"))


def ends(told: list[Fact]) -> list[TurnEnded]:
    return [fact for fact in told if isinstance(fact, TurnEnded)]


def cancel(talk: Talk, event: AxonEvent | None) -> list[dict[str, Any]]:
    return sent(list(talk.codec.cancel(event, talk.now_ms)))


ABORT = axon_event(60, "cancel", {"id": "a1", "type": "abort"})


class TestRoutes:
    @pytest.mark.parametrize(
        ("event_type", "value", "route"),
        [
            ("turn/start", PROMPT, Route.TURN),
            ("steer", PROMPT, Route.TURN),  # what the agent takes for a prompt is one
            ("turn/start", "no JSON", Route.TURN),
            ("user.message", {"content": "hi"}, Route.TURN),
            ("cancel", {"type": "abort"}, Route.CANCEL),
            ("cancel", {}, Route.CANCEL),
            ("extension_ui_response", {"type": "extension_ui_response"}, Route.ANSWER),
            ("initialize", {}, Route.CONTROL),
            ("steer", {"type": "steer", "message": "left"}, Route.CONTROL),
            ("anything", "no JSON", Route.CONTROL),
        ],
    )
    def test_an_event_is_what_the_agent_takes_it_for(
        self, event_type: str, value: Any, route: Route
    ) -> None:
        assert PiCodec("/").route(axon_event(1, event_type, value)) is route


class TestTurns:
    def test_a_turn_ends_when_the_agent_has_settled(self, talk: Talk) -> None:
        open_turn(talk)
        assert ends(talk.agent(answer() + out("agent_end", willRetry=False))) == []
        [*_, end] = talk.agent(settled())
        usage = {"input": 100, "output": 10, "cost": {"total": 0.5}}
        assert end == TurnEnded(Ending.COMPLETED, stop_reason="end_turn", usage=usage)

    def test_usage_is_that_of_all_answers_together(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(answer("toolUse") + answer())
        [end] = ends(talk.agent(settled()))
        assert end.usage == {"input": 200, "output": 20, "cost": {"total": 1.0}}

    def test_a_failure_that_was_retried_counts_no_more(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(answer("error", errorMessage="429") + out("auto_retry_start") + answer())
        assert ends(talk.agent(settled()))[0].ending is Ending.COMPLETED

    def test_the_last_answers_error_is_the_turns(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(answer("error", errorMessage="400: no"))
        [end] = ends(talk.agent(settled()))
        assert (end.ending, end.error, end.reason) == (Ending.FAILED, "400: no", "agent_error")

    def test_a_prompt_that_is_refused_fails_its_turn(self, talk: Talk) -> None:
        talk.prompt(axon_event(50, "turn/start", PROMPT))
        refused = response("p1", "prompt", success=False, error="Agent is already processing.")
        [said, end] = talk.agent(refused)
        assert isinstance(said, Said)
        assert end == TurnEnded(
            Ending.FAILED, error="Agent is already processing.", reason="agent_error"
        )

    def test_a_prompt_that_an_extension_handled_is_a_turn_without_a_run(self, talk: Talk) -> None:
        talk.prompt(axon_event(50, "turn/start", PROMPT))
        [_, end] = talk.agent(response("p1", "prompt", {"disposition": "handled"}))
        assert end == TurnEnded(Ending.COMPLETED, stop_reason="end_turn")

    def test_a_prompt_needs_no_id(self, talk: Talk) -> None:
        open_turn(talk, {"type": "prompt", "message": "hi"})
        assert ends(talk.agent(answer() + settled()))[0].ending is Ending.COMPLETED

    def test_the_end_of_an_earlier_run_ends_no_turn(self, talk: Talk) -> None:
        """A run that a client's `steer` had started settles just when a turn begins."""
        talk.prompt(axon_event(50, "turn/start", PROMPT))
        assert ends(talk.agent(settled())) == []
        talk.agent(response("p1", "prompt", {"disposition": "started"}) + out("agent_start"))
        assert len(ends(talk.agent(settled()))) == 1

    def test_what_is_no_prompt_fails_its_turn_and_never_reaches_the_agent(self, talk: Talk) -> None:
        [end] = talk.prompt(axon_event(50, "turn/start", {"message": "hi"}))
        assert isinstance(end, TurnEnded)
        assert end.reason == "invalid_payload"


class TestGenericTurns:
    def test_a_message_of_no_protocol_is_a_prompt_of_the_brokers_own(self, talk: Talk) -> None:
        told = talk.prompt(axon_event(50, "user.message", {"content": "hi"}))
        assert sent(told) == [{"id": "broker-2", "type": "prompt", "message": "hi"}]
        assert talk.agent(response("broker-2", "prompt", {"disposition": "started"})) == []

    def test_words_and_tools_are_shown_in_neutral_events(self, talk: Talk) -> None:
        talk.prompt(axon_event(50, "user.message", {"content": "hi"}))
        talk.agent(response("broker-2", "prompt", {"disposition": "started"}) + out("agent_start"))
        calls = {"toolCallId": "c1", "toolName": "bash"}
        updates: list[dict[str, Any]] = [
            {"type": "text_delta", "delta": "Hello."},
            {"type": "toolcall_start", "id": "c1", "toolName": "bash"},
        ]
        told = talk.agent(
            b"".join(out("message_update", assistantMessageEvent=event) for event in updates)
            + out("tool_execution_start", **calls)
            + out("tool_execution_end", **calls, isError=True)
        )
        shown = [f for f in told if isinstance(f, Said) and f.event_type.startswith("turn.")]
        assert [(f.event_type, json.loads(f.payload).get("status")) for f in shown] == [
            ("turn.message_chunk", None),
            ("turn.tool_call", "pending"),
            ("turn.tool_call_update", "in_progress"),
            ("turn.tool_call_update", "failed"),
        ]
        assert json.loads(shown[1].payload)["title"] == "bash"

    def test_images_go_along_and_other_blocks_as_they_came(self, talk: Talk) -> None:
        image = {"type": "image", "data": "aGk=", "mimeType": "image/png"}
        content = [{"type": "text", "text": "what?"}, image]
        [prompt] = sent(talk.prompt(axon_event(50, "user.message", {"content": content})))
        assert (prompt["message"], prompt["images"]) == ("what?", [image])
        odd = {"content": [{"type": "sound"}]}
        [prompt] = sent(talk.prompt(axon_event(51, "user.message", odd)))
        assert json.loads(prompt["message"]) == odd


class TestAborts:
    def test_an_abort_waits_until_the_run_has_begun(self, talk: Talk) -> None:
        """Before that it would meet nothing, and the run go on."""
        talk.prompt(axon_event(50, "turn/start", PROMPT))
        assert cancel(talk, ABORT) == []
        accepted = response("p1", "prompt", {"disposition": "started"})
        assert sent(talk.agent(accepted)) == []
        assert sent(talk.agent(out("agent_start"))) == [{"id": "a1", "type": "abort"}]
        [end] = ends(talk.agent(answer("aborted") + settled(aborted=True)))
        assert (end.ending, end.stop_reason) == (Ending.CANCELLED, "cancelled")

    def test_a_client_that_names_no_abort_means_one(self, talk: Talk) -> None:
        open_turn(talk)
        [abort] = cancel(talk, axon_event(60, "cancel", {}))
        assert abort == {"id": "broker-2", "type": "abort"}
        assert talk.agent(response("broker-2", "abort")) == [], "nobody asked for its answer"

    def test_an_abort_in_a_retry_cancels_whatever_the_last_answer_was(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(answer("error", errorMessage="429"))
        assert ends(talk.agent(settled(aborted=True)))[0].ending is Ending.CANCELLED

    def test_who_cancels_answers_the_open_dialogs(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(out("extension_ui_request", id="d1", method="confirm"))
        assert talk.codec.has_question
        assert [m["type"] for m in cancel(talk, ABORT)] == ["abort", "extension_ui_response"]
        assert not talk.codec.has_question

    def test_an_abort_that_came_too_late_is_answered_and_never_reaches_the_agent(self) -> None:
        [said] = PiCodec("/").late_cancel(ABORT)
        assert isinstance(said, Said)
        assert json.loads(said.payload) == {
            "id": "a1",
            "type": "response",
            "command": "abort",
            "success": True,
        }


class TestDialogs:
    def test_a_dialog_is_asked_and_answered_by_its_id(self, talk: Talk) -> None:
        open_turn(talk)
        [asked] = talk.agent(out("extension_ui_request", id="d1", method="select", options=["a"]))
        assert isinstance(asked, Asked)
        value = {"type": "extension_ui_response", "id": "d1", "value": "a"}
        event = axon_event(60, "extension_ui_response", value)
        question = talk.codec.question_of(event)
        assert question == asked.question
        assert sent(list(talk.codec.answer(question, event))) == [value]
        assert talk.codec.question_of(event) is None, "once"

    def test_what_only_shows_something_is_no_question(self, talk: Talk) -> None:
        open_turn(talk)
        [said] = talk.agent(out("extension_ui_request", id="d1", method="notify", message="hi"))
        assert isinstance(said, Said)
        assert not talk.codec.has_question

    def test_a_dialog_that_the_agent_gives_up_is_open_no_more(self, talk: Talk) -> None:
        open_turn(talk)
        talk.agent(out("extension_ui_request", id="d1", method="confirm", timeout=5_000))
        assert talk.codec.wake_at_ms == talk.now_ms + 5_000
        talk.codec.tick(talk.now_ms + 5_000)
        assert not talk.codec.has_question

    def test_a_dialog_of_a_turn_that_is_over_does_not_make_the_next_one_patient(
        self, talk: Talk
    ) -> None:
        open_turn(talk)
        talk.agent(out("extension_ui_request", id="d1", method="confirm"))
        talk.agent(settled())
        open_turn(talk)
        assert not talk.codec.has_question


class TestCommands:
    def test_a_command_passes_and_its_answer_settles_it(self, talk: Talk) -> None:
        value = {"id": "c1", "type": "set_model", "provider": "p", "modelId": "m"}
        assert sent(talk.client("set_model", value)) == [value]
        told = talk.agent(response("c1", "set_model", {}))
        assert [type(fact) for fact in told] == [Said, Settled]

    @pytest.mark.parametrize("value", ["", {}, {"type": "initialize"}])
    def test_a_greeting_asks_for_the_state(self, talk: Talk, value: Any) -> None:
        assert sent(talk.client("initialize", value)) == [{"type": "get_state"}]

    def test_a_greeting_keeps_the_clients_id(self, talk: Talk) -> None:
        [state] = sent(talk.client("initialize", {"id": "g1", "type": "get_state"}))
        assert state == {"id": "g1", "type": "get_state"}
        told = talk.agent(response("g1", "get_state", {"messageCount": 0}))
        assert [type(fact) for fact in told] == [Said, Settled]

    def test_what_is_no_command_is_refused(self, talk: Talk) -> None:
        [failed, _] = talk.client("steer", "left")
        assert failed == RequestFailed(
            "steer", "the payload of steer is no JSON object with a type"
        )

    def test_a_command_without_an_answer_is_given_up(self, talk: Talk) -> None:
        talk.client("bash", {"id": "c1", "type": "bash", "command": "sleep 999"})
        told = talk.codec.tick(talk.now_ms + ANSWER_MS_MAX)
        assert [type(fact) for fact in told] == [RequestFailed, Settled]

    def test_what_waits_for_a_dead_agent_is_told(self, talk: Talk) -> None:
        open_turn(talk)
        talk.client("compact", {"id": "c1", "type": "compact"})
        cancel(talk, ABORT)
        told = talk.codec.end("it is gone")
        failed = [fact.method for fact in told if isinstance(fact, RequestFailed)]
        assert failed == ["compact", "abort"]

    def test_a_late_answer_of_the_brokers_own_is_not_shown(self, talk: Talk) -> None:
        [garbage] = talk.agent(response("broker-7", "get_state", {}))
        assert isinstance(garbage, Garbage)


class TestSessions:
    def test_a_session_is_remembered_once_it_is_on_disk(self, talk: Talk) -> None:
        open_turn(talk)
        assert Remember({"session_file": FILE}) in talk.agent(answer())
        assert not any(isinstance(fact, Remember) for fact in talk.agent(answer()))

    def test_a_new_process_goes_on_with_it_before_it_is_ready(self) -> None:
        talk = Talk(PiCodec("/home/user"))
        [switch] = sent(talk.begin({"session_file": FILE}))
        assert switch == {"id": "broker-1", "type": "switch_session", "sessionPath": FILE}
        [state] = sent(talk.agent(response("broker-1", "switch_session", {"cancelled": False})))
        told = talk.agent(
            response(state["id"], "get_state", {"sessionFile": FILE, "messageCount": 3})
        )
        assert told == [Ready()]

    def test_a_session_that_is_empty_was_lost(self) -> None:
        """The agent begins a new one under any path that it is given."""
        talk = Talk(PiCodec("/home/user"))
        talk.begin({"session_file": FILE})
        talk.agent(response("broker-1", "switch_session", {"cancelled": False}))
        [complaint, ready] = talk.agent(
            response("broker-2", "get_state", {"sessionFile": FILE, "messageCount": 0})
        )
        assert isinstance(complaint, Complaint)
        assert complaint.kind == "session_lost"
        assert ready == Ready()

    @pytest.mark.parametrize("more", [{"success": False, "error": "no such folder"}, {}])
    def test_an_agent_that_will_not_go_on_with_it_is_ready_all_the_same(self, more: Any) -> None:
        talk = Talk(PiCodec("/home/user"))
        talk.begin({"session_file": FILE})
        data = {} if more else {"cancelled": True}
        told = talk.agent(response("broker-1", "switch_session", data, **more))
        [complaint] = [fact for fact in told if isinstance(fact, Complaint)]
        assert complaint.kind == "restore_failed"
        [state] = sent(told)
        assert Ready() in told
        assert talk.agent(response(state["id"], "get_state", {"messageCount": 0})) == []

    def test_a_client_that_changes_the_session_changes_what_is_remembered(self, talk: Talk) -> None:
        talk.client("switch_session", {"id": "c1", "type": "switch_session", "sessionPath": "/x"})
        [state] = sent(talk.agent(response("c1", "switch_session", {"cancelled": False})))
        assert state["type"] == "get_state"
        told = talk.agent(
            response(state["id"], "get_state", {"sessionFile": "/x", "messageCount": 4})
        )
        assert told == [Remember({"session_file": "/x"})]

    def test_an_agent_that_says_nothing_at_its_start_is_ready_in_time(self) -> None:
        talk = Talk(PiCodec("/home/user"))
        talk.begin({"session_file": FILE})
        told = talk.codec.tick(talk.now_ms + ANSWER_MS_MAX)
        assert [type(fact) for fact in told] == [Complaint, Ready]

    def test_the_flags_of_the_protocol_are_added_once(self) -> None:
        codec = PiCodec("/")
        assert list(codec.command(("pi", "--model", "m"))) == [
            *("pi", "--model", "m"),
            *("--mode", "rpc"),
        ]
        assert list(codec.command(("pi", "--mode", "rpc"))) == ["pi", "--mode", "rpc"]
