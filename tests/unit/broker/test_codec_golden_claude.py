"""The real Claude Code, recorded and played again: nothing lost, changed, reordered."""

import json
from pathlib import Path
from typing import Any

from broker_playbook import Talk, axon_event, sent
from ranvier_broker.codecs.base import Asked, Fact, Garbage, Remember, Route, Said, TurnEnded
from ranvier_broker.codecs.claude import ClaudeCodec

TRACE = Path(__file__).parents[2] / "golden" / "claude-code" / "trace.jsonl"
HOW_THEY_END = ["completed", "cancelled", "failed", "completed"]


class Replay:
    """Plays one process: the client's side as axon events, the agent's as bytes."""

    def __init__(self, memory: dict[str, Any]) -> None:
        self.talk = Talk(ClaudeCodec("/"))
        for hello in sent(self.talk.begin(memory)):  # what the broker restores by itself
            response = {"subtype": "success", "request_id": hello["request_id"]}
            answer = {"type": "control_response", "response": response}
            self.talk.agent(json.dumps(answer).encode() + b"\n")

    def client(self, sequence: int, message: dict[str, Any]) -> list[Fact]:
        codec, now_ms = self.talk.codec, self.talk.now_ms
        event_type = "query" if message["type"] == "user" else message["type"]
        event = axon_event(sequence, event_type, message)
        match codec.route(event):
            case Route.TURN:
                told = codec.prompt(f"t{sequence}", event, now_ms)
            case Route.CANCEL:
                told = codec.cancel(event, now_ms)
            case Route.ANSWER:
                question = codec.question_of(event)
                assert question is not None
                told = codec.answer(question, event)
            case _:
                told = codec.control(event, now_ms)
        assert sent(list(told)) == [message], "it reaches the agent as it was"
        return list(told)


def test_claude_codes_words_reach_the_axon_as_they_are() -> None:
    memory: dict[str, Any] = {}
    ends: list[TurnEnded] = []
    for sequence, line in enumerate(TRACE.read_text().splitlines(), 1):
        entry = json.loads(line)
        message = entry["msg"]
        if entry["dir"] == "start":
            replay = Replay(memory)
            assert list(replay.talk.codec.command(())) == message
            continue
        if entry["dir"] == "in":
            replay.client(sequence, message)
            continue
        text = json.dumps(message)
        told = replay.talk.agent(text.encode() + b"\n")
        assert not any(isinstance(fact, Garbage) for fact in told)
        published = [(f.event_type, f.payload) for f in told if isinstance(f, Said | Asked)]
        assert published == [(message["type"], text)]
        ends += [fact for fact in told if isinstance(fact, TurnEnded)]
        for fact in told:
            if isinstance(fact, Remember):
                memory = json.loads(json.dumps(fact.state))
    assert [end.ending for end in ends] == HOW_THEY_END
    assert all(end.usage for end in ends)
    assert ends[2].reason == "api_error"
    assert "400" in (ends[2].error or "")
