"""Codex threads over processes, and turns that nobody spoke in Codex's words."""

import json
from typing import Any

import pytest
from broker_playbook import axon_event, sent
from codex_words import GREETING, HELLO, T1, CodexTalk, frame, request, responses
from ranvier.events import Origin
from ranvier_broker.codecs import base as facts
from ranvier_broker.codecs.base import Ending
from ranvier_broker.codecs.codex import CodexCodec

KNOWN = {"initialize": GREETING, "sessions": {"t0": {}, "t1": {"cwd": "/w", "model": "m"}}}


@pytest.fixture
def talk() -> CodexTalk:
    return CodexTalk(CodexCodec("/home/user"))


def remembered(told: list[facts.Fact]) -> Any:
    return [fact.state for fact in told if isinstance(fact, facts.Remember)][-1]


def neutral(told: list[facts.Fact]) -> list[tuple[str, Any]]:
    return [
        (fact.event_type, json.loads(fact.payload))
        for fact in told
        if isinstance(fact, facts.Said) and fact.event_type.startswith("turn.")
    ]


class TestRemembering:
    def test_a_started_thread_is_kept_with_what_resumes_it(self, talk: CodexTalk) -> None:
        talk.begin()
        talk.answer(talk.ask("initialize", GREETING), result=HELLO)
        params = {"cwd": "/w", "approvalPolicy": "never", "serviceName": "x", "model": None}
        told = talk.answer(talk.ask("thread/start", params), result={"thread": {"id": "t1"}})
        kept = remembered(told)
        assert kept["initialize"] == GREETING
        assert kept["sessions"] == {"t1": {"cwd": "/w", "approvalPolicy": "never"}}

    def test_settings_that_come_with_a_turn_hold_for_the_next_process(
        self, talk: CodexTalk
    ) -> None:
        talk.greet()
        params = {**T1, "model": "m2", "approvalPolicy": "never", "effort": "low"}
        started = talk.prompt(axon_event(50, "turn/start", request("turn/start", params)))
        told = talk.answer(started, result={"turn": {"id": "n"}})
        kept = remembered(told)["sessions"]["t1"]
        assert kept == {"cwd": "/w", "model": "m2", "approvalPolicy": "never"}

    def test_a_thread_that_ends_with_its_process_is_not_kept(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.answer(
            talk.ask("thread/start", {"ephemeral": True}), result={"thread": {"id": "e"}}
        )
        assert not any(isinstance(fact, facts.Remember) for fact in told)

    def test_a_deleted_thread_is_forgotten(self, talk: CodexTalk) -> None:
        talk.greet()
        told = talk.answer(talk.ask("thread/delete", T1), result={})
        assert remembered(told)["sessions"] == {}


class TestRestoring:
    def test_a_new_process_is_greeted_and_the_thread_used_last_resumed(
        self, talk: CodexTalk
    ) -> None:
        greeting = talk.begin(KNOWN)
        assert [m["method"] for m in sent(greeting)] == ["initialize"]
        told = talk.answer(greeting, result=HELLO)
        initialized, resume = sent(told)
        assert initialized == {"method": "initialized"}
        assert resume["method"] == "thread/resume"
        expected = {"threadId": "t1", "cwd": "/w", "model": "m", "excludeTurns": True}
        assert resume["params"] == expected
        told = talk.answer(told, result={"thread": {"id": "t1"}})
        assert told == [facts.Ready()]

    def test_another_thread_is_resumed_before_the_first_message_to_it(
        self, talk: CodexTalk
    ) -> None:
        told = talk.answer(talk.begin(KNOWN), result=HELLO)
        talk.answer(told, result={})
        started = talk.prompt(
            axon_event(50, "turn/start", request("turn/start", {"threadId": "t0"}))
        )
        assert [m["method"] for m in sent(started)] == ["thread/resume"]
        held = sent(talk.answer(started, result={}))
        assert [m["method"] for m in held] == ["turn/start"]

    def test_a_client_that_resumes_by_itself_is_not_forestalled(self, talk: CodexTalk) -> None:
        talk.answer(talk.answer(talk.begin(KNOWN), result=HELLO), result={})
        asked = sent(talk.ask("thread/resume", {"threadId": "t0"}))
        assert [m["method"] for m in asked] == ["thread/resume"]

    def test_a_lost_thread_is_told_and_forgotten(self, talk: CodexTalk) -> None:
        told = talk.answer(talk.begin(KNOWN), result=HELLO)
        told = talk.answer(told, error={"code": -32600, "message": "no rollout found"})
        assert remembered(told)["sessions"] == {"t0": {}}
        complaint = facts.Complaint("restore_failed", "thread/resume of t1: no rollout found")
        assert complaint in told
        assert told[-1] == facts.Ready()

    def test_a_thread_whose_resumption_is_overdue_is_not_forgotten(self, talk: CodexTalk) -> None:
        talk.answer(talk.begin(KNOWN), result=HELLO)
        told = list(talk.codec.tick(talk.now_ms + 120_000))
        assert not any(isinstance(fact, facts.Remember) for fact in told)
        assert told[-1] == facts.Ready()

    def test_a_greeting_refused_at_the_start_leaves_it_to_the_next_client(
        self, talk: CodexTalk
    ) -> None:
        told = talk.answer(talk.begin(KNOWN), error={"code": 1, "message": "no"})
        assert told[-1] == facts.Ready()
        assert sent(talk.ask("initialize", GREETING))[0]["method"] == "initialize"


class TestGenericTurns:
    def begin(self, talk: CodexTalk, value: Any = None, origin: Origin = Origin.USER) -> Any:
        """Up to the running turn; returns the `turn/start` that the agent saw."""
        talk.begin()
        event = axon_event(50, "user.message", value or {"content": "hi"}, origin)
        opening = talk.answer(talk.prompt(event), result=HELLO)
        assert sent(opening)[-1]["params"] == {"cwd": "/home/user"}
        started = talk.answer(opening, result={"thread": {"id": "t1"}})
        told = talk.answer(started, result={"turn": {"id": "native"}})
        assert responses([*opening, *started, *told]) == []
        return sent(started)[-1]

    def test_the_broker_greets_starts_a_thread_and_prompts(self, talk: CodexTalk) -> None:
        start = self.begin(talk)
        assert start["method"] == "turn/start"
        assert start["params"] == {"threadId": "t1", "input": [{"type": "text", "text": "hi"}]}

    def test_the_next_one_goes_on_in_the_same_thread(self, talk: CodexTalk) -> None:
        self.begin(talk)
        talk.complete()
        [start] = sent(talk.prompt(axon_event(60, "user.message", {"content": "more"})))
        assert start["params"]["threadId"] == "t1"

    def test_input_that_codex_does_not_take_is_given_as_text(self, talk: CodexTalk) -> None:
        value = {"content": [{"type": "audio", "data": "…"}]}
        [part] = self.begin(talk, value)["params"]["input"]
        assert json.loads(part["text"]) == value

    def test_words_and_tools_are_shown_in_neutral_events_besides_codexs_own(
        self, talk: CodexTalk
    ) -> None:
        self.begin(talk)
        item = {"type": "commandExecution", "id": "c1", "command": "ls"}
        told = [
            *talk.notify("item/started", item={**item, "status": "inProgress"}),
            *talk.notify("item/commandExecution/outputDelta", itemId="c1", delta="a b"),
            *talk.notify("item/completed", item={**item, "status": "declined"}),
            *talk.notify("item/agentMessage/delta", itemId="m1", delta="Hel"),
            *talk.notify("item/completed", item={"type": "agentMessage", "id": "m1", "text": "X"}),
        ]
        call = {"turn_id": "trn", "tool_call_id": "c1"}
        shown = {**call, "title": "ls", "kind": "execute"}
        assert neutral(told) == [
            ("turn.tool_call", {**shown, "status": "in_progress"}),
            ("turn.tool_call_update", {**call, "output": "a b"}),
            ("turn.tool_call_update", {**shown, "status": "declined"}),
            ("turn.message_chunk", {"content": "Hel"}),
        ]
        assert len([fact for fact in told if isinstance(fact, facts.Said)]) == 9

    def test_a_message_that_comes_whole_is_shown_whole(self, talk: CodexTalk) -> None:
        self.begin(talk)
        told = talk.notify("item/completed", item={"type": "agentMessage", "id": "m", "text": "X"})
        assert neutral(told) == [("turn.message_chunk", {"content": "X"})]

    def test_helpers_threads_and_thoughts_are_not_shown(self, talk: CodexTalk) -> None:
        self.begin(talk)
        delta = {"threadId": "t2", "itemId": "m", "delta": "secret"}
        told = talk.agent(frame(method="item/agentMessage/delta", params=delta))
        told += talk.notify("item/started", item={"type": "reasoning", "id": "r"})
        assert neutral(told) == []

    def test_a_thread_that_can_not_be_started_fails_the_turn(self, talk: CodexTalk) -> None:
        talk.begin()
        opening = talk.answer(talk.prompt(axon_event(50, "user.message", "hi")), result=HELLO)
        [end] = talk.answer(opening, error={"code": 1, "message": "no model"})
        assert isinstance(end, facts.TurnEnded)
        assert end.reason == "session_unavailable"
        assert "no model" in (end.error or "")

    def test_a_cancel_before_the_prompt_was_said_ends_the_turn_at_once(
        self, talk: CodexTalk
    ) -> None:
        talk.begin()
        talk.prompt(axon_event(50, "user.message", "hi"))
        told = list(talk.codec.cancel(axon_event(51, "turn/interrupt", ""), talk.now_ms))
        assert [fact.ending for fact in told if isinstance(fact, facts.TurnEnded)] == [
            Ending.CANCELLED
        ]
