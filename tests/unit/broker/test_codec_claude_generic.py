"""Turns of no protocol spoken with Claude Code: what of its messages is shown in neutral events."""

import json
from typing import Any

import pytest
from broker_playbook import Talk, axon_event, sent
from claude_words import control, fresh_talk, open_turn, out
from ranvier_broker.codecs.base import Said


@pytest.fixture
def talk() -> Talk:
    return fresh_talk()


def neutral(told: list[Any]) -> list[tuple[str, Any]]:
    facts = [f for f in told if isinstance(f, Said) and f.event_type.startswith("turn.")]
    return [(fact.event_type, json.loads(fact.payload)) for fact in facts]


def stream(**event: Any) -> bytes:
    return out("stream_event", event=event, parent_tool_use_id=None)


def delta(text: str) -> bytes:
    return stream(type="content_block_delta", delta={"type": "text_delta", "text": text})


def whole(message_id: str, *content: dict[str, Any], **more: Any) -> bytes:
    message = {"id": message_id, "role": "assistant", "content": list(content)}
    return out("assistant", message=message, **{"parent_tool_use_id": None, **more})


@pytest.fixture
def generic(talk: Talk) -> Talk:
    [prompt] = sent(talk.prompt(axon_event(50, "user.message", {"content": "hi"})))
    assert prompt["message"]["content"] == [{"type": "text", "text": "hi"}]
    return talk


def test_words_are_shown_once_though_they_come_twice(generic: Talk) -> None:
    start = stream(type="message_start", message={"id": "m1"})
    text = {"type": "text", "text": "Hello."}
    told = generic.agent(start + delta("Hel") + delta("lo.") + whole("m1", text))
    chunks = [
        ("turn.message_chunk", {"content": "Hel"}),
        ("turn.message_chunk", {"content": "lo."}),
    ]
    assert neutral(told) == chunks
    later = {"type": "text", "text": "Whole."}
    assert neutral(generic.agent(whole("m2", later))) == [
        ("turn.message_chunk", {"content": "Whole."})
    ]


def test_a_subagents_words_are_not_the_answer(generic: Talk) -> None:
    text = {"type": "text", "text": "Psst."}
    assert neutral(generic.agent(whole("m1", text, parent_tool_use_id="toolu_1"))) == []


def test_a_tool_call_is_shown_at_first_sight_and_when_it_is_over(generic: Talk) -> None:
    block = {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {}}
    done = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True}
    told = generic.agent(
        stream(type="content_block_start", content_block=block)
        + whole("m1", block)
        + json.dumps(control("q", "can_use_tool", tool_name="Bash", tool_use_id="toolu_1")).encode()
        + b"\n"
        + out("user", message={"role": "user", "content": [done]})
    )
    common = {"turn_id": "trn", "tool_call_id": "toolu_1"}
    assert neutral(told) == [
        ("turn.tool_call", {**common, "title": "Bash", "status": "pending"}),
        ("turn.tool_call_update", {**common, "status": "failed"}),
    ]


def test_a_turn_in_claudes_own_words_has_no_neutral_events(talk: Talk) -> None:
    open_turn(talk)
    assert neutral(talk.agent(delta("Hello."))) == []
