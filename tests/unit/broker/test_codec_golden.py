"""Recorded conversations with real ACP agents, played again: nothing lost, changed, reordered."""

import json
from pathlib import Path
from typing import Any

import pytest
from broker_playbook import Talk, axon_event, sent
from ranvier_broker.codecs.base import Asked, Fact, Garbage, Said, ToAgent, TurnEnded

GOLDEN = Path(__file__).parents[2] / "golden"
AGENTS = ("acp-opencode", "acp-claude")


def processes(agent: str) -> list[list[dict[str, Any]]]:
    """An agent's trace, cut where a new process begins."""
    cut: list[list[dict[str, Any]]] = []
    for text in (GOLDEN / agent / "trace.jsonl").read_text().splitlines():
        entry = json.loads(text)
        if entry["msg"].get("method") == "initialize":
            cut.append([])
        cut[-1].append(entry)
    return cut


class Replay:
    """Plays one process: the client's side as axon events, the agent's as bytes."""

    def __init__(self) -> None:
        self.talk = Talk()
        self.talk.begin()
        self.ids: dict[Any, Any] = {}  # the recording client's id → ours
        self.sequence = 0

    def client(self, message: dict[str, Any]) -> list[Fact]:
        codec, now_ms = self.talk.codec, self.talk.now_ms
        self.sequence += 1
        if "method" not in message:
            return []  # fs/write_text_file is answered by the broker, the permission below
        event = axon_event(self.sequence, message["method"], json.dumps(message["params"]))
        if message["method"] == "session/prompt":
            told = codec.prompt("t", event, now_ms)
        else:
            told = codec.control(event, now_ms)
        [call] = sent(told)
        assert call["params"] == message["params"]
        self.ids[message["id"]] = call["id"]
        return told

    def agent(self, message: dict[str, Any]) -> list[Fact]:
        if "method" not in message:
            message = {**message, "id": self.ids[message["id"]]}
        return self.talk.agent(json.dumps(message).encode() + b"\n")


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("agent", AGENTS)
def test_a_real_agents_words_reach_the_axon_as_they_are(agent: str, number: int) -> None:
    replay = Replay()
    said: list[tuple[str, str]] = []
    expected: list[tuple[str, str]] = []
    methods: dict[Any, str] = {}
    ends = 0
    for entry in processes(agent)[number]:
        message = entry["msg"]
        if entry["dir"] == "in":
            if "method" in message:
                methods[message["id"]] = message["method"]
            replay.client(message)
            continue
        told = replay.agent(message)
        assert not any(isinstance(fact, Garbage) for fact in told)
        published = [fact for fact in told if isinstance(fact, Said | Asked)]
        said += [(fact.event_type, fact.payload) for fact in published]
        ends += sum(isinstance(fact, TurnEnded) for fact in told)
        if message.get("method") == "fs/write_text_file":
            assert any(isinstance(fact, ToAgent) for fact in told)
            continue
        event_type = message.get("method") or methods[message["id"]]
        raw = message["params"] if "method" in message else message["result"]
        expected.append((event_type, json.dumps(raw)))
    assert said == expected
    assert ends == 1
