"""What an agent's protocol message says, in words that all protocols share. Internal to the views.

A reader of one protocol turns a journal event into facts; the views turn facts into their own
vocabularies. A fact is stated only when the message states it: nothing is guessed.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """How a question to a person (or a rule) was settled."""

    ALLOW = "allow"
    DENY = "deny"
    ANSWERED = "answered"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Prompted:
    """Somebody asks for a turn. `session` is the one that the prompt names, if it names one."""

    session: str | None
    length: int


@dataclass(frozen=True, slots=True)
class Named:
    """Which agent or model speaks; None leaves the word as it stands."""

    agent: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class SessionOpened:
    """The session exists. Said again of a known one it is no news."""

    session: str


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """The session was removed."""

    session: str


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The agent has looked again at what it offers."""

    count: int


@dataclass(frozen=True, slots=True)
class ComponentState:
    """An agent, tool server or devbox came to a state."""

    kind: str
    name: str
    status: str
    error: str | None = None
    detail: Any = None


@dataclass(frozen=True, slots=True)
class Text:
    """The model says this to the user. `message` tells one message from the next."""

    delta: str
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Thought:
    """The model thinks: no text for the user, yet a sign that it works."""


@dataclass(frozen=True, slots=True)
class ModelCalled:
    """A request goes to the model."""

    model: str | None


@dataclass(frozen=True, slots=True)
class ModelAnswered:
    """The model's answer is complete."""

    finish_reason: str | None


@dataclass(frozen=True, slots=True)
class ToolCalled:
    """The model wants a tool. `subagent` is set when the tool is another agent."""

    call_id: str
    name: str | None
    parent: str | None = None
    subagent: str | None = None


@dataclass(frozen=True, slots=True)
class ToolBegan:
    """The tool runs (or asks whether it may)."""

    call_id: str


@dataclass(frozen=True, slots=True)
class ToolEnded:
    """The tool is done."""

    call_id: str
    is_success: bool
    output: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ToolDeferred:
    """The tool goes on in the background, under a ticket."""

    call_id: str
    ticket: str
    status: str | None
    summary: str | None


@dataclass(frozen=True, slots=True)
class BackgroundEnded:
    """What went on in the background is done."""

    call_id: str
    ticket: str
    is_success: bool
    text: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent asks a person: for permission (about a tool), or for input."""

    key: str
    is_permission: bool
    call_id: str | None = None
    tool: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """The question is settled. `key` is None when nobody was asked (a rule decided)."""

    key: str | None
    verdict: Verdict
    reason: str | None = None
    call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Used:
    """Tokens and cost, as the protocol counts them."""

    usage: Any


@dataclass(frozen=True, slots=True)
class Warned:
    """Something went wrong that ends nothing."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The transport says that it lives."""


Fact = (
    Prompted
    | Named
    | SessionOpened
    | SessionClosed
    | Capabilities
    | ComponentState
    | Text
    | Thought
    | ModelCalled
    | ModelAnswered
    | ToolCalled
    | ToolBegan
    | ToolEnded
    | ToolDeferred
    | BackgroundEnded
    | Asked
    | Answered
    | Used
    | Warned
    | Heartbeat
)


@dataclass(frozen=True, slots=True)
class Heard:
    """The facts of one event, and the session that it names (None: it names none)."""

    facts: list[Fact] = field(default_factory=list)
    session: str | None = None


NOTHING = Heard()
