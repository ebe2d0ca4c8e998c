"""The real Pi, recorded and played again: nothing lost, changed, reordered."""

import json
from pathlib import Path
from typing import Any

from broker_playbook import Talk, axon_event, sent
from ranvier_broker.codecs.base import Asked, Fact, Garbage, Remember, Route, Said, TurnEnded
from ranvier_broker.codecs.pi import PiCodec
from ranvier_broker.codecs.pi_records import OWN_PREFIX

TRACE = Path(__file__).parents[2] / "golden" / "pi" / "trace.jsonl"
HOW_THEY_END = ["completed", "cancelled", "failed", "completed"]


class Replay:
    """Plays one process: the client's side as axon events, the agent's as bytes."""

    def __init__(self) -> None:
        self.talk = Talk(PiCodec("/"))
        [state] = sent(self.talk.begin())  # the recording client's own comes later
        answer = {"id": state["id"], "type": "response", "command": "get_state", "success": True}
        self.talk.agent(json.dumps(answer).encode() + b"\n")

    def client(self, sequence: int, message: dict[str, Any]) -> None:
        codec, now_ms = self.talk.codec, self.talk.now_ms
        event = axon_event(sequence, message["type"], message)
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

    def agent(self, message: dict[str, Any]) -> list[Fact]:
        """What the agent said, and what it says to the broker's own questions after that."""
        told = self.talk.agent(json.dumps(message).encode() + b"\n")
        for own in (m for m in sent(told) if str(m.get("id")).startswith(OWN_PREFIX)):
            state = {"sessionFile": "/home/user/s.jsonl", "messageCount": 2}
            answer = {"id": own["id"], "type": "response", "success": True, "data": state}
            told += self.talk.agent(json.dumps(answer).encode() + b"\n")
        return told


def test_pis_words_reach_the_axon_as_they_are() -> None:
    ends: list[TurnEnded] = []
    memories: list[Any] = []
    for sequence, line in enumerate(TRACE.read_text().splitlines(), 1):
        entry = json.loads(line)
        message = entry["msg"]
        if entry["dir"] == "start":
            replay = Replay()
            assert list(replay.talk.codec.command(())) == message
            continue
        if entry["dir"] == "in":
            replay.client(sequence, message)
            continue
        told = replay.agent(message)
        assert not any(isinstance(fact, Garbage) for fact in told)
        published = [(f.event_type, f.payload) for f in told if isinstance(f, Said | Asked)]
        assert published == [(message["type"], json.dumps(message))]
        ends += [fact for fact in told if isinstance(fact, TurnEnded)]
        memories += [fact.state for fact in told if isinstance(fact, Remember)]
    assert [end.ending for end in ends] == HOW_THEY_END
    assert (ends[0].usage or {})["totalTokens"] == 220, "of two requests to the model"
    assert "400" in (ends[2].error or "")
    assert memories == [{"session_file": "/home/user/s.jsonl"}]
