"""All that a mount's turn machine can ask for: its only way to do anything.

The counterpart is `events`. Even a log line is a command, so that a test can say which message
follows from which event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ranvier.events import NewEvent


@dataclass(frozen=True, slots=True)
class Attach:
    """Take the mount; answered by `Attached` or `Fenced`, however long that takes."""


@dataclass(frozen=True, slots=True)
class Subscribe:
    """Read users' and external events after this sequence; replaces the subscription before."""

    subscription: int
    after_sequence: int


@dataclass(frozen=True, slots=True)
class StartMark:
    """The batch holds the `turn.started` of this turn at `event_index`."""

    turn_id: str
    trigger: int
    event_index: int


@dataclass(frozen=True, slots=True)
class EndMark:
    """The batch holds the terminal of this turn at `event_index`."""

    turn_id: str
    event_index: int


@dataclass(frozen=True, slots=True)
class Append:
    """One transaction, retried under the same number until `Appended` or `Fenced` answers it."""

    epoch: int
    batch: int
    events: tuple[NewEvent, ...]
    cursor: int | None = None
    control_cursor: int | None = None
    state: Mapping[str, Any] | None = None
    marks: tuple[StartMark | EndMark, ...] = ()


@dataclass(frozen=True, slots=True)
class StartAgent:
    """Start the agent's process; answered by `AgentStarted` and at last `AgentExited`."""

    run: int
    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WriteAgent:
    """Bytes for the agent's stdin."""

    run: int
    data: bytes


class Signal(StrEnum):
    """Signals to the agent's whole process group."""

    TERM = "TERM"
    KILL = "KILL"


@dataclass(frozen=True, slots=True)
class SignalAgent:
    """Send a signal to the agent and to all that it started."""

    run: int
    signal: Signal


@dataclass(frozen=True, slots=True)
class HoldAgent:
    """Read no more of the agent's output for now: the pipe fills up and the agent waits."""

    run: int


@dataclass(frozen=True, slots=True)
class ReleaseAgent:
    """Read the agent's output again."""

    run: int


class Level(StrEnum):
    """How loud a line in the broker's own log is."""

    INFO = "info"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Log:
    """A line for the broker's own log."""

    level: Level
    message: str


@dataclass(frozen=True, slots=True)
class Stop:
    """This broker has nothing more to do: kill the agent, append nothing, end with status 0."""

    reason: str


Command = (
    Attach
    | Subscribe
    | Append
    | StartAgent
    | WriteAgent
    | SignalAgent
    | HoldAgent
    | ReleaseAgent
    | Log
    | Stop
)
