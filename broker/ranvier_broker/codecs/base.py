"""The seam to an agent's protocol: bytes and axon events in, facts out; no I/O, no clock.

A codec classifies, it does not translate (T8): what an agent says goes onto the axon as it came.
It knows how to greet an agent, restore its sessions, tell a turn-starting message from a control
message, and where a turn ends. It knows nothing of queues, epochs, cursors and processes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from ranvier.events import AxonEvent, Origin


class Route(StrEnum):
    """What an inbound event is to the agent."""

    TURN = "turn"  # waits for its turn
    CANCEL = "cancel"  # ends the open turn, at once
    ANSWER = "answer"  # answers a question of the agent, at once
    CONTROL = "control"  # any other message, at once


class Ending(StrEnum):
    """How the agent ended a turn."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class ToAgent:
    """Bytes for the agent's stdin, whole messages."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Ready:
    """The agent is greeted and its session restored: messages may be delivered."""


@dataclass(frozen=True, slots=True)
class Said:
    """Something for the axon, in the order in which the agent said it."""

    event_type: str
    payload: str
    origin: Origin = Origin.AGENT


@dataclass(frozen=True, slots=True)
class Asked:
    """A question of the agent, for the axon; open until answered. `question` counts them."""

    question: int
    event_type: str
    payload: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The request that the event of this sequence made was answered, or never will be."""

    sequence: int


@dataclass(frozen=True, slots=True)
class RequestFailed:
    """The agent answered a request, not a turn's, with an error, or not at all."""

    method: str
    error: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The open turn is over; all its events were said before."""

    ending: Ending
    stop_reason: str | None = None
    error: str | None = None
    reason: str | None = None
    usage: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Remember:
    """What to keep for the next process, in this pod or another: goes to the journal."""

    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that is no message of the protocol; `excerpt` is its beginning."""

    why: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """The agent is in trouble, but may go on: an `agent.error` for the axon."""

    kind: str
    message: str


Fact = (
    ToAgent
    | Ready
    | Said
    | Asked
    | Settled
    | RequestFailed
    | TurnEnded
    | Remember
    | Garbage
    | Complaint
)


@dataclass(frozen=True, slots=True)
class LaidAside:
    """A session that the next process does not take up; `state` is what `Remember` holds without
    it."""

    session: str
    state: Mapping[str, Any]


class Codec(Protocol):
    """One mount's conversation with its agent, over any number of processes."""

    needs_memory_to_start: bool
    """Whether `recall` must come before the process is started: its command line depends on it."""

    @property
    def wake_at_ms(self) -> int | None:
        """When `tick` must be called at the latest: an answer is overdue then."""

    @property
    def has_question(self) -> bool:
        """Whether the agent waits for an answer from a person or a client."""

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take what an earlier broker had kept (`Remember`), in place of what is known."""

    def lay_aside(self) -> LaidAside | None:
        """Forget the session that the next process would take up, until `recall` brings it back.
        None if there is none."""

    def command(self, argv: Sequence[str]) -> Sequence[str]:
        """The command line of the process that is about to start, made from the mount's own."""

    def begin(self, now_ms: int) -> Sequence[Fact]:
        """A new process listens; `Ready` follows, at once or after a conversation."""

    def receive(self, data: bytes, now_ms: int) -> Sequence[Fact]:
        """Bytes of the agent, split anywhere."""

    def end(self, why: str) -> Sequence[Fact]:
        """The process is gone, or never was, as `why` says: settle all that waits but the turn."""

    def tick(self, now_ms: int) -> Sequence[Fact]:
        """Time has passed."""

    def route(self, event: AxonEvent) -> Route:
        """What this event of a user or an external system is."""

    def question_of(self, event: AxonEvent) -> int | None:
        """The open question that an ANSWER would answer, if there is one."""

    def prompt(self, turn_id: str, event: AxonEvent, now_ms: int) -> Sequence[Fact]:
        """Begin the turn. `TurnEnded` follows unless the process ends first."""

    def control(self, event: AxonEvent, now_ms: int) -> Sequence[Fact]:
        """Deliver a CONTROL message; `Settled` follows, at once or with its answer."""

    def answer(self, question: int, event: AxonEvent) -> Sequence[Fact]:
        """Answer an open question."""

    def cancels_turn(self, event: AxonEvent) -> bool:
        """Whether a CANCEL means the open turn's session."""

    def late_cancel(self, event: AxonEvent) -> Sequence[Fact]:
        """A CANCEL that meant an earlier turn: the agent must not see it, its sender may wait."""

    def cancel(self, event: AxonEvent | None, now_ms: int) -> Sequence[Fact]:
        """Pass a CANCEL on; None cancels the open turn on the broker's own behalf."""
