"""What the broker's requests to Codex are made for."""

from dataclasses import dataclass

from ranvier_broker.codecs.codex_frames import ClientFrame


@dataclass(frozen=True, slots=True)
class Passing:
    """A client's request, passed on as it came; `sequence` is its place on the axon."""

    sequence: int
    frame: ClientFrame


@dataclass(frozen=True, slots=True)
class Prompting:
    """The request that begins the open turn; `frame` is the client's, if a client made it."""

    turn_id: str
    frame: ClientFrame | None


@dataclass(frozen=True, slots=True)
class Greeting:
    """Our own `initialize`; `at_start`: sessions are restored after it."""

    at_start: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """Our own `thread/start`, for a turn that nobody prepared."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Restoring:
    """Our own `thread/resume`; `at_start`: the agent is ready after it."""

    thread_id: str
    at_start: bool


@dataclass(frozen=True, slots=True)
class Interrupting:
    """Our own `turn/interrupt`; how the turn ends is told by the turn."""


Purpose = Passing | Prompting | Greeting | Opening | Restoring | Interrupting
