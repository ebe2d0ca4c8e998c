"""The open turn, and what each control request was made for that Claude Code has not answered."""

from dataclasses import dataclass
from typing import Any

from ranvier_broker.codecs.claude_generic import GenericView


@dataclass(slots=True)
class Turn:
    """The open turn; `view` only when it was not asked for in Claude's protocol."""

    view: GenericView | None
    is_interrupted: bool = False


@dataclass(frozen=True, slots=True)
class Passing:
    """A client's control request, passed on as it came; `sequence` is its place on the axon."""

    sequence: int
    request: dict[str, Any]

    @property
    def name(self) -> str:
        """For people."""
        return f"control_request {self.request.get('subtype')}"


@dataclass(frozen=True, slots=True)
class Interrupting:
    """An interrupt, of a client or of the broker itself, and the turn that it meant."""

    turn: Turn | None
    is_own: bool


@dataclass(frozen=True, slots=True)
class Greeting:
    """Our `initialize`, for a process that goes on with a session; the agent is ready after it."""


@dataclass(frozen=True, slots=True)
class Resetting:
    """A setting made once more after a restart; how it goes matters to nobody."""


Purpose = Passing | Interrupting | Greeting | Resetting
