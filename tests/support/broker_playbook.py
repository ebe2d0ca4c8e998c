"""Playbooks: conversations with the pure parts of the broker, written as they went.

`play.after(event)` feeds one event and returns the commands that followed; on failure pytest shows
the whole trace. `Talk` does the same for a codec alone.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from ranvier.events import AxonEvent, NewEvent, Origin
from ranvier_broker import commands, events
from ranvier_broker.codecs import base as facts
from ranvier_broker.codecs.acp import AcpCodec
from ranvier_broker.codecs.base import Codec
from ranvier_broker.one_turn import Mount
from ranvier_broker.turns import TurnMachine

DEVBOX = "0123456789-uid"
OFFERS_RESUME = {"agentCapabilities": {"loadSession": True, "sessionCapabilities": {"resume": {}}}}
OFFERS_LOAD = {"agentCapabilities": {"loadSession": True}}
OFFERS_NOTHING: dict[str, Any] = {"agentCapabilities": {}}


def axon_event(
    sequence: int, event_type: str, value: Any = "", origin: Origin = Origin.USER
) -> AxonEvent:
    text = value if isinstance(value, str) else json.dumps(value)
    return AxonEvent("axn", sequence, 0, origin, "test", event_type, text)


def prompt_of(session: str, text: str = "hello") -> dict[str, Any]:
    return {"sessionId": session, "prompt": [{"type": "text", "text": text}]}


def line(**message: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n"


def update(session: str, kind: str = "agent_message_chunk", /, **more: Any) -> bytes:
    params = {"sessionId": session, "update": {"sessionUpdate": kind, **more}}
    return line(method="session/update", params=params)


@dataclass
class Talk:
    """A conversation with a codec. Time stands still unless it is moved."""

    codec: Codec = field(default_factory=lambda: AcpCodec("/home/user"))
    now_ms: int = 1_000
    sequence: int = 0

    def begin(self, saved: dict[str, Any] | None = None) -> list[facts.Fact]:
        self.codec.recall(saved or {})
        return list(self.codec.begin(self.now_ms))

    def agent(self, data: bytes) -> list[facts.Fact]:
        return list(self.codec.receive(data, self.now_ms))

    def client(self, event_type: str, value: Any = "") -> list[facts.Fact]:
        """A control message of a client."""
        self.sequence += 1
        return list(self.codec.control(axon_event(self.sequence, event_type, value), self.now_ms))

    def prompt(self, event: AxonEvent | None = None, session: str = "s1") -> list[facts.Fact]:
        event = event or axon_event(50, "session/prompt", prompt_of(session))
        return list(self.codec.prompt("trn", event, self.now_ms))

    def greeted(self, capabilities: dict[str, Any] = OFFERS_RESUME) -> None:
        """As after a client's initialize and session/new."""
        self.begin()
        [call] = sent(self.client("initialize", {"protocolVersion": 1}))
        self.agent(line(id=call["id"], result=capabilities))
        [call] = sent(self.client("session/new", {"cwd": "/w", "mcpServers": []}))
        self.agent(line(id=call["id"], result={"sessionId": "s1"}))


def sent(told: list[facts.Fact]) -> list[dict[str, Any]]:
    """The messages to the agent among the facts."""
    data = b"".join(fact.data for fact in told if isinstance(fact, facts.ToAgent))
    return [json.loads(text) for text in data.splitlines()]


@dataclass
class Play:
    """A conversation with a turn machine, and a journal that answers when told to."""

    machine: TurnMachine
    now_ms: int = 10_000
    head: int = 0
    run: int = 0
    subscription: int = 0
    trace: list[str] = field(default_factory=list)
    journal: list[NewEvent] = field(default_factory=list)
    in_flight: commands.Append | None = None
    subscriptions: list[commands.Subscribe] = field(default_factory=list)

    def after(self, event: events.Event) -> list[commands.Command]:
        self.trace.append(f">> {event}")
        followed = self.machine.handle(event, self.now_ms)
        for command in followed:
            self.trace.append(f"<< {command}")
            if isinstance(command, commands.Append):
                assert self.in_flight is None, "one append in flight"
                self.in_flight = command
            elif isinstance(command, commands.StartAgent):
                self.run = command.run
            elif isinstance(command, commands.Subscribe):
                self.subscription = command.subscription
                self.subscriptions.append(command)
        print("\n".join(self.trace[-1 - len(followed) :]))
        return followed

    def confirm(self) -> list[commands.Command]:
        """The journal writes the batch in flight."""
        append, self.in_flight = self.in_flight, None
        assert append is not None, "nothing was appended"
        first = self.head + 1
        self.head += len(append.events)
        self.journal.extend(append.events)
        return self.after(events.Appended(append.batch, first))

    def settle(self) -> list[commands.Command]:
        """The journal writes all there is."""
        followed: list[commands.Command] = []
        while self.in_flight is not None:
            followed += self.confirm()
        return followed

    def arrive(
        self, event_type: str, value: Any = "", origin: Origin = Origin.USER
    ) -> list[commands.Command]:
        """Somebody publishes; the broker hears of it."""
        self.head += 1
        event = axon_event(self.head, event_type, value, origin)
        return self.after(events.Arrived(self.subscription, event))

    def agent(self, *lines: bytes) -> list[commands.Command]:
        return self.after(events.AgentSaid(self.run, b"".join(lines)))

    def attached(self, cursor: int = 0, **more: Any) -> list[commands.Command]:
        self.head = max(self.head, cursor)
        control = more.pop("control_cursor", cursor)
        return self.after(events.Attached(1, cursor, control, more.pop("state", {})))

    def ready(self, **more: Any) -> None:
        """Start up to a fresh agent without sessions."""
        self.after(events.Begun(self.now_ms))
        self.after(events.AgentStarted(self.run))
        self.attached(**more)
        self.settle()

    @property
    def kinds(self) -> list[str]:
        """Types of the events on the journal."""
        return [event.event_type for event in self.journal]

    def payloads(self, event_type: str) -> list[Any]:
        return [json.loads(e.payload) for e in self.journal if e.event_type == event_type]


def to_agent(followed: list[commands.Command]) -> list[dict[str, Any]]:
    """The messages to the agent among the commands."""
    data = b"".join(c.data for c in followed if isinstance(c, commands.WriteAgent))
    return [json.loads(text) for text in data.splitlines()]


def make_play(codec: Codec | None = None, **more: Any) -> Play:
    """A play about one mount; `more` goes to the machine."""
    mount = Mount(DEVBOX, 0, generation=4)
    return Play(TurnMachine(mount, codec or AcpCodec("/home/user"), **more))
