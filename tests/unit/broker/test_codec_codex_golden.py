"""A recorded conversation with the real Codex, played again: nothing lost, changed, reordered."""

import json
from pathlib import Path
from typing import Any

import pytest
from broker_playbook import axon_event, sent
from codex_words import CodexTalk
from ranvier_broker.codecs.base import Asked, Ending, Fact, Garbage, Said, TurnEnded
from ranvier_broker.codecs.codex import CodexCodec

TRACE = Path(__file__).parents[2] / "golden" / "codex-app-server" / "trace.jsonl"
Entry = dict[str, Any]


def processes() -> list[list[Entry]]:
    """The trace, cut where a new process begins."""
    cut: list[list[Entry]] = []
    for text in TRACE.read_text().splitlines():
        entry = json.loads(text)
        if entry["msg"].get("method") == "initialize":
            cut.append([])
        cut[-1].append(entry)
    return cut


class Replay:
    """Plays one process: the client's side as axon events, the agent's as bytes."""

    def __init__(self) -> None:
        self.talk = CodexTalk(CodexCodec("/home/user/work"))
        self.talk.begin()
        self.ids: dict[Any, Any] = {}  # the recording client's id → ours
        self.sequence = 0

    def client(self, message: Entry) -> list[Fact]:
        codec, now_ms = self.talk.codec, self.talk.now_ms
        self.sequence += 1
        event = axon_event(self.sequence, message.get("method", "response"), message)
        if (question := codec.question_of(event)) is not None:
            told = list(codec.answer(question, event))
            assert sent(told) == [message]
            return told
        match message["method"]:
            case "turn/start":
                told = list(codec.prompt("t", event, now_ms))
            case "turn/interrupt":
                assert codec.cancels_turn(event)
                told = list(codec.cancel(event, now_ms))
            case _:
                told = list(codec.control(event, now_ms))
        if "id" in message:
            [call] = sent(told)
            self.ids[message["id"]] = call["id"]
            assert call == {**message, "id": call["id"]}
        return told

    def agent(self, message: Entry) -> list[Fact]:
        if "method" not in message:
            message = {**message, "id": self.ids[message["id"]]}
        return self.talk.agent(json.dumps(message).encode() + b"\n")


@pytest.mark.parametrize("number", range(3))
def test_the_real_codexs_words_reach_the_axon_as_they_are(number: int) -> None:
    replay = Replay()
    published: list[tuple[str, str]] = []
    expected: list[tuple[str, str]] = []
    ends: list[TurnEnded] = []
    for entry in processes()[number]:
        message = entry["msg"]
        if entry["dir"] == "in":
            replay.client(message)
            continue
        told = replay.agent(message)
        assert not any(isinstance(fact, Garbage) for fact in told)
        words = [fact for fact in told if isinstance(fact, Said | Asked)]
        published += [(fact.event_type, fact.payload) for fact in words]
        expected.append((message.get("method", "response"), json.dumps(message)))
        ends += [fact for fact in told if isinstance(fact, TurnEnded)]
    assert published == expected
    endings = [[Ending.COMPLETED], [Ending.COMPLETED], [Ending.CANCELLED, Ending.COMPLETED]]
    assert [end.ending for end in ends] == endings[number]
    for end in ends:
        if end.ending is Ending.COMPLETED:
            assert end.usage is not None
            assert end.usage["outputTokens"] > 0


def test_a_resumed_thread_does_not_count_the_tokens_of_earlier_turns() -> None:
    """Two requests to the model in the first life, one in each later turn."""
    used: list[int] = []
    for process in processes():
        replay = Replay()
        for entry in process:
            told = (replay.client if entry["dir"] == "in" else replay.agent)(entry["msg"])
            ends = [fact for fact in told if isinstance(fact, TurnEnded)]
            completed = [end for end in ends if end.ending is Ending.COMPLETED]
            used += [(end.usage or {})["totalTokens"] for end in completed]
    assert used == [220, 110, 110]
