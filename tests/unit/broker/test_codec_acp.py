"""ACP on both sides of the codec: what clients publish, what the agent says (runloop-api 5.3)."""

import json

from broker_playbook import OFFERS_RESUME, Talk, axon_event, line, prompt_of, sent, update
from ranvier.events import PAYLOAD_BYTES_MAX, Origin
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import (
    Asked,
    Complaint,
    Ending,
    Garbage,
    Ready,
    Remember,
    RequestFailed,
    Route,
    Said,
    Settled,
    ToAgent,
    TurnEnded,
)

PERMISSION = "session/request_permission"


def asks(number: object, session: str = "s1", method: str = PERMISSION) -> bytes:
    return line(id=number, method=method, params={"sessionId": session, "n": number})


class TestClientsRequests:
    def test_a_fresh_agent_is_ready_at_once(self, talk: Talk) -> None:
        assert talk.begin() == [Ready()]

    def test_a_request_gets_an_id_and_its_result_goes_out_bare(self, talk: Talk) -> None:
        talk.begin()
        told = talk.client("authenticate", {"methodId": "m"})
        assert sent(told) == [
            {"jsonrpc": "2.0", "id": 1, "method": "authenticate", "params": {"methodId": "m"}}
        ]
        raw = b'{"jsonrpc":"2.0","id":1,"result":{"a": 1.0e400,  "b":"\\u00e9"}}\n'
        assert talk.agent(raw) == [
            Said("authenticate", '{"a": 1.0e400,  "b":"\\u00e9"}'),
            Settled(1),
        ]

    def test_a_null_result_goes_out_as_an_empty_object(self, talk: Talk) -> None:
        talk.begin()
        talk.client("authenticate", {})
        assert talk.agent(line(id=1, result=None))[0] == Said("authenticate", "{}")

    def test_answers_may_come_in_any_order(self, talk: Talk) -> None:
        talk.begin()
        talk.client("session/list", {})
        talk.client("authenticate", {})
        assert talk.agent(line(id=2, result={}))[0] == Said("authenticate", "{}")
        assert talk.agent(line(id=1, result={}))[0] == Said("session/list", "{}")

    def test_a_payload_of_many_lines_is_one_line_for_the_agent(self, talk: Talk) -> None:
        talk.begin()
        [fact] = talk.client("initialize", '{\n  "x": 1e2,\r\n "y": "a\\nb"}')
        assert isinstance(fact, ToAgent)
        assert fact.data.count(b"\n") == 1
        assert b'"x": 1e2' in fact.data

    def test_a_payload_that_is_no_json_never_reaches_the_agent(self, talk: Talk) -> None:
        talk.begin()
        [failed, settled] = talk.client("initialize", "{oops")
        assert failed == RequestFailed("initialize", "the payload of initialize is not JSON")
        assert settled == Settled(1)

    def test_an_error_answer_is_told_and_settles(self, talk: Talk) -> None:
        talk.begin()
        talk.client("no/such", {})
        told = talk.agent(line(id=1, error={"code": -32601, "message": "no such"}))
        assert told == [RequestFailed("no/such", "no such"), Settled(1)]

    def test_an_overdue_answer_is_told_once_and_ignored_when_it_comes(self, talk: Talk) -> None:
        talk.begin()
        talk.client("session/list", {})
        assert talk.codec.wake_at_ms == talk.now_ms + 120_000
        talk.now_ms += 120_000
        [failed, settled] = talk.codec.tick(talk.now_ms)
        assert isinstance(failed, RequestFailed)
        assert settled == Settled(1)
        assert talk.codec.wake_at_ms is None
        [late] = talk.agent(line(id=1, result={}))
        assert isinstance(late, Garbage)

    def test_initialize_is_passed_on_each_time(self, talk: Talk) -> None:
        talk.greeted()
        [again] = sent(talk.client("initialize", {"protocolVersion": 1}))
        assert again["method"] == "initialize"

    def test_dollar_methods_are_notifications(self, talk: Talk) -> None:
        talk.begin()
        told = talk.client("$/cancel_request", {"requestId": 3})
        assert sent(told) == [
            {"jsonrpc": "2.0", "method": "$/cancel_request", "params": {"requestId": 3}}
        ]
        assert told[-1] == Settled(1)


class TestRoutes:
    def test_only_prompts_messages_and_external_events_start_turns(self, talk: Talk) -> None:
        def route(event_type: str, origin: Origin = Origin.USER) -> Route:
            return talk.codec.route(axon_event(1, event_type, "", origin))

        assert route("session/prompt") is Route.TURN
        assert route("user.message") is Route.TURN
        assert route("anything", Origin.EXTERNAL) is Route.TURN
        assert route("session/cancel") is Route.CANCEL
        assert route(PERMISSION) is Route.ANSWER
        assert route("fs/read_text_file") is Route.ANSWER
        assert route("initialize") is Route.CONTROL
        assert route("_vendor/thing") is Route.CONTROL

    def test_a_method_that_the_agent_asked_is_an_answer_from_then_on(self, talk: Talk) -> None:
        talk.greeted()
        talk.agent(asks(1, method="_vendor/ask"))
        assert talk.codec.route(axon_event(9, "_vendor/ask")) is Route.ANSWER


class TestTurns:
    def test_a_prompts_result_ends_the_turn_after_it_was_said(self, talk: Talk) -> None:
        talk.greeted()
        [call] = sent(talk.prompt())
        assert call["params"] == prompt_of("s1")
        chunk = update("s1", content={"type": "text", "text": "hi"})
        result = {"stopReason": "end_turn", "usage": {"totalTokens": 3}}
        told = talk.agent(chunk + line(id=call["id"], result=result))
        assert [type(fact) for fact in told] == [Said, Said, TurnEnded]
        assert told[1] == Said("session/prompt", json.dumps(result))
        assert told[2] == TurnEnded(Ending.COMPLETED, "end_turn", usage={"totalTokens": 3})

    def test_stop_reason_cancelled_is_a_cancelled_turn(self, talk: Talk) -> None:
        talk.greeted()
        [call] = sent(talk.prompt())
        told = talk.agent(line(id=call["id"], result={"stopReason": "cancelled"}))
        assert told[-1] == TurnEnded(Ending.CANCELLED, "cancelled")

    def test_an_error_answer_is_a_failed_turn_and_nothing_is_said(self, talk: Talk) -> None:
        talk.greeted()
        [call] = sent(talk.prompt())
        told = talk.agent(line(id=call["id"], error={"code": -32603, "message": "no model"}))
        assert told == [TurnEnded(Ending.FAILED, error="no model", reason="agent_error")]

    def test_a_prompt_that_is_no_json_fails_its_turn(self, talk: Talk) -> None:
        talk.greeted()
        [end] = talk.prompt(axon_event(7, "session/prompt", "{oops"))
        assert isinstance(end, TurnEnded)
        assert end.reason == "invalid_payload"

    def test_a_prompt_has_no_deadline(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt()
        assert talk.codec.wake_at_ms is None

    def test_messages_outside_turns_pass(self, talk: Talk) -> None:
        talk.greeted()
        told = talk.agent(update("s1", "available_commands_update"))
        assert [type(fact) for fact in told] == [Said]
        [said] = talk.agent(line(method="_auth/status_update", params={"x": 1}))
        assert said == Said("_auth/status_update", '{"x": 1}')


class TestQuestions:
    def test_a_question_is_asked_bare_and_answered_by_its_own_id(self, talk: Talk) -> None:
        talk.greeted()
        [asked] = talk.agent(asks("7f-uuid"))
        assert asked == Asked(1, PERMISSION, '{"sessionId": "s1", "n": "7f-uuid"}')
        assert talk.codec.has_question
        told = talk.codec.answer(1, axon_event(60, PERMISSION, '{"outcome": {}}'))
        assert told == [ToAgent(b'{"jsonrpc":"2.0","id":"7f-uuid","result":{"outcome": {}}}\n')]
        assert not talk.codec.has_question

    def test_an_error_object_answers_as_an_error(self, talk: Talk) -> None:
        talk.greeted()
        talk.agent(asks(0))
        told = talk.codec.answer(1, axon_event(60, PERMISSION, {"code": 5, "message": "no"}))
        assert sent(told) == [{"jsonrpc": "2.0", "id": 0, "error": {"code": 5, "message": "no"}}]

    def test_of_each_method_one_question_is_shown_at_a_time(self, talk: Talk) -> None:
        talk.greeted()
        assert len(talk.agent(asks(1) + asks(2) + asks(3, method="_vendor/ask"))) == 2
        told = talk.codec.answer(1, axon_event(60, PERMISSION, {}))
        assert sent(told)[0]["id"] == 1
        assert told[-1] == Asked(2, PERMISSION, '{"sessionId": "s1", "n": 2}')

    def test_a_question_taken_back_makes_room(self, talk: Talk) -> None:
        talk.greeted()
        talk.agent(asks("a") + asks("b"))
        told = talk.agent(line(method="$/cancel_request", params={"requestId": "a"}))
        assert told[0] == Said("$/cancel_request", '{"requestId": "a"}')
        assert sent(told)[0]["error"]["code"] == -32800
        assert isinstance(told[-1], Asked)

    def test_questions_of_a_turn_end_with_it(self, talk: Talk) -> None:
        talk.greeted()
        [call] = sent(talk.prompt())
        talk.agent(asks("a") + asks("b", session="other"))
        told = talk.agent(line(id=call["id"], result={"stopReason": "end_turn"}))
        assert sent(told) == [
            {"jsonrpc": "2.0", "id": "a", "result": {"outcome": {"outcome": "cancelled"}}}
        ]
        assert talk.codec.question_of(axon_event(60, PERMISSION)) == 2

    def test_what_the_client_does_not_offer_is_refused_for_it(self, talk: Talk) -> None:
        talk.greeted()
        [fact] = talk.agent(asks(4, method="fs/write_text_file"))
        assert sent([fact])[0]["error"]["code"] == -32601

    def test_what_the_client_offers_is_asked(self, talk: Talk) -> None:
        talk.begin()
        offer = {"clientCapabilities": {"fs": {"writeTextFile": True}, "terminal": True}}
        talk.client("initialize", offer)
        talk.agent(line(id=1, result=OFFERS_RESUME))
        assert isinstance(talk.agent(asks(4, method="fs/write_text_file"))[0], Asked)
        assert isinstance(talk.agent(asks(5, method="terminal/create"))[0], Asked)


class TestCancel:
    def test_a_cancel_is_a_notification_and_answers_open_permissions(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt()
        talk.agent(asks("a") + asks("b"))
        event = axon_event(60, "session/cancel", {"sessionId": "s1"})
        assert talk.codec.cancels_turn(event)
        cancelled = {"outcome": {"outcome": "cancelled"}}
        assert sent(talk.codec.cancel(event, talk.now_ms)) == [
            {"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": "s1"}},
            {"jsonrpc": "2.0", "id": "a", "result": cancelled},
            {"jsonrpc": "2.0", "id": "b", "result": cancelled},
        ]

    def test_a_cancel_of_another_session_is_not_the_turns(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt()
        event = axon_event(60, "session/cancel", {"sessionId": "other"})
        assert not talk.codec.cancels_turn(event)
        [message] = sent(talk.codec.cancel(event, talk.now_ms))
        assert message["params"] == {"sessionId": "other"}

    def test_the_broker_itself_cancels_the_turns_session(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt()
        [message] = sent(talk.codec.cancel(None, talk.now_ms))
        assert message["params"] == {"sessionId": "s1"}


class TestTrouble:
    def test_what_is_no_message_is_a_fact(self, talk: Talk) -> None:
        talk.begin()
        for bad in (b"no json", b"[1]", b"\xff\xfe", b'{"jsonrpc":"2.0"}', b"[" * 100_000, b"12"):
            [fact] = talk.agent(bad + b"\n")
            assert isinstance(fact, Garbage)

    def test_an_error_about_no_request_is_a_complaint(self, talk: Talk) -> None:
        talk.begin()
        [fact] = talk.agent(line(id=None, error={"code": -32700, "message": "Parse error"}))
        assert fact == Complaint("agent_error", "Parse error (code -32700)")

    def test_a_line_over_the_limit_is_a_complaint_and_the_next_is_read(self) -> None:
        talk = Talk(AcpCodec("/", line_bytes_max=100))
        talk.begin()
        data = b"x" * 101 + b"\n" + line(method="m", params={})
        [complaint, said] = talk.agent(data)
        assert isinstance(complaint, Complaint)
        assert said == Said("m", "{}")

    def test_a_payload_over_the_journals_limit_is_a_complaint(self, talk: Talk) -> None:
        talk.greeted()
        text = "x" * PAYLOAD_BYTES_MAX
        [complaint] = talk.agent(update("s1", content={"type": "text", "text": text}))
        assert isinstance(complaint, Complaint)
        assert complaint.kind == "payload_too_large"

    def test_the_end_of_the_process_fails_what_waits_for_it(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt()
        talk.client("session/list", {})
        talk.agent(b'{"jsonrpc"')
        told = talk.codec.end("the agent exited")
        assert [type(fact) for fact in told] == [Garbage, RequestFailed, Settled]
        assert not talk.codec.has_question


class TestGenericTurns:
    def test_the_broker_greets_and_opens_a_session_when_nobody_did(self, talk: Talk) -> None:
        talk.begin()
        [greeting] = sent(talk.prompt(axon_event(5, "user.message", {"content": "hello"})))
        assert greeting["method"] == "initialize"
        told = talk.agent(line(id=greeting["id"], result=OFFERS_RESUME))
        [opening] = sent(told)
        assert opening["params"] == {"cwd": "/home/user", "mcpServers": []}
        told = talk.agent(line(id=opening["id"], result={"sessionId": "s9"}))
        [prompt] = sent(told)
        assert prompt["params"] == prompt_of("s9")
        assert not any(isinstance(fact, Said) for fact in told)
        assert any(isinstance(fact, Remember) for fact in told)
        said = talk.agent(update("s9", content={"type": "text", "text": "é"}))
        assert said[1] == Said("turn.message_chunk", '{"content":"é"}')
        told = talk.agent(line(id=prompt["id"], result={"stopReason": "end_turn"}))
        assert told == [TurnEnded(Ending.COMPLETED, "end_turn")]

    def test_a_clients_session_serves(self, talk: Talk) -> None:
        talk.greeted()
        [prompt] = sent(talk.prompt(axon_event(5, "user.message", {"content": "hello"})))
        assert prompt["params"] == prompt_of("s1")

    def test_contents_come_as_text_blocks_or_plain(self, talk: Talk) -> None:
        talk.greeted()
        blocks = [{"type": "text", "text": "a"}, {"type": "image", "data": "…"}]
        for value, expected in (
            ({"content": blocks}, blocks),
            ("just words", [{"type": "text", "text": "just words"}]),
            ({"other": 1}, [{"type": "text", "text": '{"other": 1}'}]),
        ):
            [prompt] = sent(talk.prompt(axon_event(5, "user.message", value)))
            assert prompt["params"]["prompt"] == expected

    def test_an_external_event_says_what_it_is(self, talk: Talk) -> None:
        talk.greeted()
        event = axon_event(5, "push", {"ref": "main"}, Origin.EXTERNAL)
        [prompt] = sent(talk.prompt(event))
        [block] = prompt["params"]["prompt"]
        assert block["text"].startswith("An external event arrived: push from test.")
        assert block["text"].endswith('{"ref": "main"}')

    def test_a_tool_call_is_shown_at_first_sight_wherever_that_is(self, talk: Talk) -> None:
        talk.greeted()
        talk.prompt(axon_event(5, "user.message", {"content": "x"}))
        call = {"toolCallId": "c1", "title": "ls", "kind": "execute", "status": "pending"}
        params = {"sessionId": "s1", "toolCall": call}
        told = talk.agent(line(id=1, method=PERMISSION, params=params))
        first = {"turn_id": "trn", "tool_call_id": "c1", **call}
        del first["toolCallId"]
        assert isinstance(told[0], Said)
        assert (told[0].event_type, told[0].origin) == ("turn.tool_call", Origin.SYSTEM)
        assert json.loads(told[0].payload) == first
        [_, said] = talk.agent(update("s1", "tool_call", **call))
        assert isinstance(said, Said)
        assert said.event_type == "turn.tool_call_update"

    def test_a_cancel_before_the_session_is_open_ends_the_turn(self, talk: Talk) -> None:
        talk.begin()
        [greeting] = sent(talk.prompt(axon_event(5, "user.message", {"content": "x"})))
        event = axon_event(6, "session/cancel", {})
        assert talk.codec.cancels_turn(event)
        assert talk.codec.cancel(event, talk.now_ms) == [TurnEnded(Ending.CANCELLED, "cancelled")]
        assert sent(talk.agent(line(id=greeting["id"], result=OFFERS_RESUME))) == []

    def test_no_session_is_a_failed_turn(self, talk: Talk) -> None:
        talk.begin()
        [greeting] = sent(talk.prompt(axon_event(5, "user.message", {"content": "x"})))
        error = {"code": -32000, "message": "Authentication required"}
        [end] = talk.agent(line(id=greeting["id"], error=error))
        assert isinstance(end, TurnEnded)
        assert end.reason == "session_unavailable"
        assert "Authentication required" in (end.error or "")
