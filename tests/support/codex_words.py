"""What Codex's clients and agents say, and a talk with its codec that begins as most do."""

import json
from typing import Any

from broker_playbook import Talk, axon_event, sent
from ranvier_broker.codecs import base as facts

GREETING = {"clientInfo": {"name": "c", "version": "1"}}
HELLO = {"userAgent": "codex/1"}
T1 = {"threadId": "t1"}


def frame(**members: Any) -> bytes:
    return json.dumps(members).encode() + b"\n"


def request(method: str, params: Any, frame_id: Any = "c-1") -> dict[str, Any]:
    return {"id": frame_id, "method": method, "params": params}


def responses(told: list[facts.Fact]) -> list[Any]:
    return [
        json.loads(f.payload)
        for f in told
        if isinstance(f, facts.Said) and f.event_type == "response"
    ]


class CodexTalk(Talk):
    """A talk with a Codex codec, with what every test needs."""

    def ask(self, method: str, params: Any, frame_id: Any = "c-1") -> list[facts.Fact]:
        return self.client(method, request(method, params, frame_id))

    def answer(self, told: list[facts.Fact], **members: Any) -> list[facts.Fact]:
        """The agent answers the last request among the facts."""
        return self.agent(frame(id=sent(told)[-1]["id"], **members))

    def greet(self) -> None:
        """As after a client's initialize and thread/start."""
        self.begin()
        self.answer(self.ask("initialize", GREETING), result=HELLO)
        told = self.ask("thread/start", {"cwd": "/w", "model": "m"})
        self.answer(told, result={"thread": {"id": "t1"}})

    def start(self, thread: str = "t1", turn: str = "native") -> None:
        """A client's turn that runs."""
        event = axon_event(50, "turn/start", request("turn/start", {"threadId": thread}, 7))
        told = self.prompt(event)
        self.answer(told, result={"turn": {"id": turn, "status": "inProgress"}})

    def notify(self, method: str, **params: Any) -> list[facts.Fact]:
        return self.agent(frame(method=method, params={**T1, **params}))

    def complete(self, status: str = "completed", turn: str = "native", **more: Any) -> facts.Fact:
        told = self.notify("turn/completed", turn={"id": turn, "status": status, **more})
        return told[-1]
