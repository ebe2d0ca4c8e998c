"""The Codex codec, frame by frame: what a client publishes, what the agent says, what follows."""

import json
from typing import Any

import pytest
from broker_playbook import axon_event, sent
from codex_words import GREETING, HELLO, T1, CodexTalk, frame, request, responses
from ranvier.events import PAYLOAD_BYTES_MAX, Origin
from ranvier_broker.codecs import base as facts
from ranvier_broker.codecs.base import Ending, Route
from ranvier_broker.codecs.codex import CodexCodec

APPROVAL = "item/commandExecution/requestApproval"


@pytest.fixture
def talk() -> CodexTalk:
    return CodexTalk(CodexCodec("/home/user"))


class TestRoutes:
    @pytest.mark.parametrize(
        ("event_type", "payload", "route"),
        [
            ("turn/start", request("turn/start", T1), Route.TURN),
            ("review/start", request("review/start", T1), Route.TURN),
            ("thread/compact/start", request("thread/compact/start", T1), Route.TURN),
            ("turn/interrupt", request("turn/interrupt", T1), Route.CANCEL),
            ("turn/interrupt", "", Route.CANCEL),
            ("turn/steer", request("turn/steer", T1), Route.CONTROL),
            ("thread/list", request("thread/list", {}), Route.CONTROL),
            ("response", {"id": 0, "result": {}}, Route.ANSWER),
            ("response", {"id": "x", "error": {"code": 1, "message": "no"}}, Route.ANSWER),
            ("user.message", {"content": "hi"}, Route.TURN),
            ("note", "no frame at all", Route.CONTROL),
        ],
    )
    def test_a_message_goes_where_its_frame_belongs(
        self, talk: CodexTalk, event_type: str, payload: Any, route: Route
    ) -> None:
        assert talk.codec.route(axon_event(1, event_type, payload)) is route

    def test_the_frame_decides_and_not_the_name_that_it_was_published_under(
        self, talk: CodexTalk
    ) -> None:
        event = axon_event(1, "thread/list", request("turn/start", T1))
        assert talk.codec.route(event) is Route.TURN

    def test_an_external_event_is_a_turn_whatever_it_holds(self, talk: CodexTalk) -> None:
        event = axon_event(1, "turn/interrupt", request("turn/interrupt", T1), Origin.EXTERNAL)
        assert talk.codec.route(event) is Route.TURN


class TestIds:
    def test_a_frame_travels_unchanged_but_for_its_id(self, talk: CodexTalk) -> None:
        talk.greet()
        text = '{ "method":"x/y", "params" : {"n":1e400,"id":5},"id" : "mine" , "new":1.50}'
        [to_agent] = [f for f in talk.client("x/y", text) if isinstance(f, facts.ToAgent)]
        number = json.loads(to_agent.data, parse_float=str)["id"]
        assert to_agent.data.decode() == text.replace('"mine"', str(number)) + "\n"
        answer = f'{{"id":{number}, "result": {{"n": 1e400}} , "more":[]}}'
        [said, settled] = talk.agent(answer.encode() + b"\n")
        assert said == facts.Said("response", answer.replace(str(number), '"mine"', 1))
        assert isinstance(settled, facts.Settled)

    def test_two_clients_with_the_same_id_each_get_their_answer(self, talk: CodexTalk) -> None:
        talk.greet()
        first, second = talk.ask("a/b", {}, 1), talk.ask("c/d", {}, 1)
        assert sent(first)[0]["id"] != sent(second)[0]["id"]
        assert responses(talk.answer(second, result="d")) == [{"id": 1, "result": "d"}]
        assert responses(talk.answer(first, result="b")) == [{"id": 1, "result": "b"}]

    def test_ids_go_on_over_processes_so_a_late_answer_meets_no_stranger(
        self, talk: CodexTalk
    ) -> None:
        talk.greet()
        before = sent(talk.ask("a/b", {}))[0]["id"]
        talk.codec.end("gone")
        assert sent(talk.begin({"initialize": GREETING}))[0]["id"] > before

    def test_an_error_goes_to_the_client_that_asked(self, talk: CodexTalk) -> None:
        talk.greet()
        error = {"code": -32600, "message": "no"}
        told = talk.answer(talk.ask("a/b", {}, "x"), error=error)
        assert responses(told) == [{"id": "x", "error": error}]

    def test_a_client_is_told_when_the_agent_ends_before_its_answer(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.ask("a/b", {}, "x")
        told = list(talk.codec.end("the agent exited with status 1"))
        [answer] = responses(told)
        assert answer["id"] == "x"
        assert "the agent exited with status 1" in answer["error"]["message"]
        assert any(isinstance(fact, facts.Settled) for fact in told)

    def test_a_client_is_told_when_the_answer_is_overdue(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.ask("a/b", {}, "x")
        due = talk.codec.wake_at_ms
        assert due == talk.now_ms + 120_000
        [answer] = responses(list(talk.codec.tick(due)))
        assert answer["error"]["message"] == "the agent gave no answer within 120 s"

    def test_a_notification_of_a_client_passes_as_it_is(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.client("x/hint", '{"method":"x/hint"}')
        assert told[0] == facts.ToAgent(b'{"method":"x/hint"}\n')

    def test_a_payload_that_is_no_frame_is_refused_with_what_to_do(self, talk: CodexTalk) -> None:
        talk.greet()
        failed, settled = talk.client("thread/list", {"limit": 3})
        assert isinstance(failed, facts.RequestFailed)
        assert "publish the whole frame" in failed.error
        assert isinstance(settled, facts.Settled)


class TestGreeting:
    def test_an_agent_that_nobody_greeted_is_left_alone(self, talk: CodexTalk) -> None:
        assert talk.begin() == [facts.Ready()]

    def test_the_broker_says_initialized_after_a_clients_initialize(self, talk: CodexTalk) -> None:
        talk.begin()
        told = talk.answer(talk.ask("initialize", GREETING), result=HELLO)
        assert responses(told) == [{"id": "c-1", "result": HELLO}]
        assert {"method": "initialized"} in sent(told)
        assert sent(talk.client("initialized", {"method": "initialized"})) == []

    def test_a_second_client_is_answered_with_what_the_agent_said_to_the_first(
        self, talk: CodexTalk
    ) -> None:
        talk.greet()
        told = talk.ask("initialize", GREETING, "c-2")
        assert sent(told) == []
        assert responses(told) == [{"id": "c-2", "result": HELLO}]

    def test_clients_that_greet_at_once_are_all_answered(self, talk: CodexTalk) -> None:
        talk.begin()
        first = talk.ask("initialize", GREETING, "a")
        assert sent(talk.ask("initialize", GREETING, "b")) == []
        told = talk.answer(first, result=HELLO)
        assert [answer["id"] for answer in responses(told)] == ["a", "b"]

    def test_after_a_refused_greeting_the_next_client_may_know_better(
        self, talk: CodexTalk
    ) -> None:
        talk.begin()
        first = talk.ask("initialize", {}, "a")
        talk.ask("initialize", GREETING, "b")
        told = talk.answer(first, error={"code": -32600, "message": "clientInfo is missing"})
        assert responses(told)[0]["id"] == "a"
        [again] = sent(told)
        assert again["params"] == GREETING
        assert responses(talk.answer(told, result=HELLO)) == [{"id": "b", "result": HELLO}]

    def test_what_is_said_before_the_greeting_is_over_waits_for_it(self, talk: CodexTalk) -> None:
        talk.begin()
        greeting = talk.ask("initialize", GREETING)
        assert sent(talk.ask("thread/start", {})) == []
        said = sent(talk.answer(greeting, result=HELLO))
        assert [message["method"] for message in said] == ["initialized", "thread/start"]

    def test_a_client_that_does_not_greet_is_served_all_the_same(self, talk: CodexTalk) -> None:
        talk.begin()
        greeting = talk.ask("thread/list", {})
        assert sent(greeting)[0]["params"]["clientInfo"]["name"] == "ranvier-broker"
        told = talk.answer(greeting, result=HELLO)
        assert responses(told) == []
        assert [message["method"] for message in sent(told)] == ["initialized", "thread/list"]

    def test_a_greeting_that_fails_lets_the_agent_answer_for_itself(self, talk: CodexTalk) -> None:
        talk.begin()
        told = talk.answer(talk.ask("thread/list", {}), error={"code": 1, "message": "broken"})
        assert facts.Complaint("greeting_failed", "initialize: broken") in told
        assert [message["method"] for message in sent(told)] == ["thread/list"]


class TestTurns:
    @pytest.mark.parametrize(
        ("status", "ending", "stop_reason"),
        [
            ("completed", Ending.COMPLETED, "end_turn"),
            ("interrupted", Ending.CANCELLED, "cancelled"),
            ("failed", Ending.FAILED, None),
            ("somehow", Ending.FAILED, None),
        ],
    )
    def test_turn_completed_ends_the_turn_by_its_status(
        self, talk: CodexTalk, status: str, ending: Ending, stop_reason: str | None
    ) -> None:
        talk.greet()
        talk.start()
        end = talk.complete(status)
        assert isinstance(end, facts.TurnEnded)
        assert (end.ending, end.stop_reason) == (ending, stop_reason)

    def test_a_failed_turn_tells_the_agents_reason(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        end = talk.complete("failed", error={"message": "exceeded retry limit"})
        assert isinstance(end, facts.TurnEnded)
        assert end.error == "exceeded retry limit"

    def test_all_that_the_agent_said_is_told_before_the_end_and_as_it_was(
        self, talk: CodexTalk
    ) -> None:
        talk.greet()
        talk.start()
        lines = [
            '{"method":"item/agentMessage/delta","params":{"threadId":"t1","n":1.0}, "at":1}',
            '{"method":"turn/completed","params":{"threadId":"t1",'
            '"turn":{"id":"native","status":"completed"}}}',
        ]
        told = talk.agent("\n".join([*lines, ""]).encode())
        assert [f.payload for f in told if isinstance(f, facts.Said)] == lines
        assert isinstance(told[-1], facts.TurnEnded)

    def test_the_end_of_another_threads_turn_ends_nothing(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        helper = {"threadId": "t2", "turn": {"id": "native", "status": "completed"}}
        told = talk.agent(frame(method="turn/completed", params=helper))
        assert not any(isinstance(fact, facts.TurnEnded) for fact in told)

    def test_the_end_of_an_earlier_turn_ends_nothing(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start(turn="second")
        assert not isinstance(talk.complete(turn="first"), facts.TurnEnded)

    def test_a_refused_turn_fails_after_its_client_was_answered(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.prompt(axon_event(50, "turn/start", request("turn/start", T1, 7)))
        error = {"code": -32602, "message": "Input exceeds the maximum length"}
        answer, end = talk.answer(told, error=error)
        assert responses([answer]) == [{"id": 7, "error": error}]
        assert isinstance(end, facts.TurnEnded)
        assert end.error == "Input exceeds the maximum length"

    def test_a_detached_review_ends_on_its_own_thread(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.prompt(axon_event(50, "review/start", request("review/start", T1, 7)))
        talk.answer(told, result={"turn": {"id": "n"}, "reviewThreadId": "t9"})
        review = {"threadId": "t9", "turn": {"id": "n", "status": "completed"}}
        assert isinstance(
            talk.agent(frame(method="turn/completed", params=review))[-1], facts.TurnEnded
        )

    def test_a_compaction_ends_though_its_answer_names_no_turn(self, talk: CodexTalk) -> None:
        talk.greet()
        method = "thread/compact/start"
        talk.answer(talk.prompt(axon_event(50, method, request(method, T1))), result={})
        talk.notify("turn/started", turn={"id": "c", "status": "inProgress"})
        assert not isinstance(talk.complete(turn="another"), facts.TurnEnded)
        assert isinstance(talk.complete(turn="c"), facts.TurnEnded)

    def test_a_prompt_that_is_no_frame_fails_with_what_to_do(self, talk: CodexTalk) -> None:
        talk.greet()
        [end] = talk.prompt(axon_event(50, "turn/start", {"threadId": "t1"}))
        assert isinstance(end, facts.TurnEnded)
        assert end.reason == "invalid_payload"

    def test_usage_is_what_this_turn_added_over_all_its_requests(self, talk: CodexTalk) -> None:
        def tell(total: int, last: int, turn: str = "native") -> None:
            usage = {"total": {"totalTokens": total}, "last": {"totalTokens": last}}
            talk.notify("thread/tokenUsage/updated", turnId=turn, tokenUsage=usage)

        talk.greet()
        talk.start()
        tell(110, 110)
        tell(230, 120)
        end = talk.complete()
        assert isinstance(end, facts.TurnEnded)
        assert end.usage == {"totalTokens": 230}
        talk.start(turn="n2")
        tell(300, 70, "n2")
        end = talk.complete(turn="n2")
        assert isinstance(end, facts.TurnEnded)
        assert end.usage == {"totalTokens": 70}
        talk.start(turn="n3")
        end = talk.complete(turn="n3")
        assert isinstance(end, facts.TurnEnded)
        assert end.usage is None


class TestCancel:
    def test_a_clients_interrupt_passes_with_its_ids(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        params = {"threadId": "t1", "turnId": "native"}
        event = axon_event(60, "turn/interrupt", request("turn/interrupt", params, "i"))
        assert talk.codec.cancels_turn(event)
        told = list(talk.codec.cancel(event, talk.now_ms))
        assert sent(told)[0]["params"] == params
        assert responses(talk.answer(told, result={})) == [{"id": "i", "result": {}}]

    def test_an_interrupt_of_another_turn_cancels_nothing(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        for params in ({"threadId": "t2"}, {"threadId": "t1", "turnId": "other"}):
            event = axon_event(60, "turn/interrupt", request("turn/interrupt", params))
            assert not talk.codec.cancels_turn(event)

    @pytest.mark.parametrize("payload", ["", request("turn/interrupt", {}, "i")])
    def test_an_interrupt_without_ids_means_the_open_turn(
        self, talk: CodexTalk, payload: Any
    ) -> None:
        talk.greet()
        talk.start()
        told = list(talk.codec.cancel(axon_event(60, "turn/interrupt", payload), talk.now_ms))
        assert sent(told)[0]["params"] == {"threadId": "t1", "turnId": "native"}

    def test_the_brokers_own_interrupt_waits_until_the_turn_has_an_id(
        self, talk: CodexTalk
    ) -> None:
        talk.greet()
        started = talk.prompt(axon_event(50, "turn/start", request("turn/start", T1)))
        assert sent(list(talk.codec.cancel(None, talk.now_ms))) == []
        told = talk.answer(started, result={"turn": {"id": "late"}})
        assert sent(told)[0]["params"] == {"threadId": "t1", "turnId": "late"}

    def test_an_interrupt_that_comes_too_late_is_answered(self, talk: CodexTalk) -> None:
        talk.greet()
        event = axon_event(60, "turn/interrupt", request("turn/interrupt", {}, "i"))
        [answer] = responses(list(talk.codec.late_cancel(event)))
        assert answer["id"] == "i"
        assert "error" in answer


class TestQuestions:
    def ask(self, talk: CodexTalk, number: int = 0) -> facts.Asked:
        [asked] = talk.agent(frame(method=APPROVAL, id=number, params=T1))
        assert isinstance(asked, facts.Asked)
        return asked

    def test_an_approval_is_asked_with_its_id_and_answered_by_it(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        first, second = self.ask(talk, 0), self.ask(talk, 1)
        assert json.loads(second.payload)["id"] == 1
        answer = axon_event(60, "response", {"id": 1, "result": {"decision": "accept"}})
        assert talk.codec.question_of(answer) == second.question != first.question
        told = list(talk.codec.answer(second.question, answer))
        assert sent(told) == [{"id": 1, "result": {"decision": "accept"}}]
        assert talk.codec.question_of(answer) is None
        assert talk.codec.has_question

    def test_an_id_is_compared_with_its_type(self, talk: CodexTalk) -> None:
        talk.greet()
        self.ask(talk, 1)
        for other in ("1", True, 1.0):
            assert (
                talk.codec.question_of(axon_event(60, "response", {"id": other, "result": 1}))
                is None
            )

    def test_what_the_agent_resolved_itself_is_open_no_more(self, talk: CodexTalk) -> None:
        talk.greet()
        self.ask(talk, 3)
        talk.notify("serverRequest/resolved", requestId=3)
        assert not talk.codec.has_question

    def test_the_end_of_the_turn_closes_its_questions(self, talk: CodexTalk) -> None:
        talk.greet()
        talk.start()
        self.ask(talk)
        talk.complete("interrupted")
        assert not talk.codec.has_question

    def test_a_question_too_large_for_the_axon_is_refused(self, talk: CodexTalk) -> None:
        talk.greet()
        params = {"command": "x" * PAYLOAD_BYTES_MAX}
        refusal, complaint = talk.agent(frame(method=APPROVAL, id=5, params=params))
        assert sent([refusal])[0]["id"] == 5
        assert isinstance(complaint, facts.Complaint)


class TestLines:
    def test_what_is_no_frame_is_a_fact(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.agent(b'nonsense\n\xff\xfe{}\n[1]\n{"id":99,"result":1}\n\n')
        assert [type(fact) for fact in told] == [facts.Garbage] * 4

    def test_a_line_over_the_limit_is_a_complaint(self) -> None:
        talk = CodexTalk(CodexCodec("/", line_bytes_max=50))
        talk.begin()
        [complaint] = talk.agent(b'{"method":"' + b"x" * 60 + b'"}\n')
        assert isinstance(complaint, facts.Complaint)
        assert complaint.kind == "line_too_long"

    def test_a_message_nobody_knows_passes_through(self, talk: CodexTalk) -> None:
        talk.begin()
        line = b'{"method":"new/thing","params":[1,2],"emittedAtMs":5}'
        assert talk.agent(line + b"\n") == [facts.Said("new/thing", line.decode())]

    def test_an_answer_too_large_for_the_axon_is_told_as_an_error(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.answer(talk.ask("fs/readFile", {}), result="x" * PAYLOAD_BYTES_MAX)
        [answer] = responses(told)
        assert "larger than an axon event may be" in answer["error"]["message"]
