"""The open turn, and what each command was for that Pi has not answered."""

from dataclasses import dataclass, field
from typing import Any, Final

from ranvier_broker.codecs.base import Ending, TurnEnded
from ranvier_broker.codecs.pi_generic import GenericView
from ranvier_broker.codecs.typed_lines import object_of

_STOP_REASONS: Final = {"stop": "end_turn", "length": "max_tokens", "toolUse": "tool_use"}
"""Pi's reasons, by their names among those of all protocols."""


@dataclass(slots=True, eq=False)
class Turn:
    """The open turn, from its prompt until the agent has settled."""

    view: GenericView | None = None
    """Only when it was not asked for in Pi's words."""
    has_begun: bool = False
    """Whether a run works for it. Before that an abort would meet nothing, and be lost."""
    is_accepted: bool = False
    aborts: list[bytes] = field(default_factory=list)
    """Aborts that wait until it has begun."""
    stop_reason: str | None = None
    error: str | None = None
    usage: dict[str, Any] = field(default_factory=dict)

    def heard(self, message: dict[str, Any]) -> None:
        """Take a whole message of the model: what it used, and how it ended."""
        reason, error = message.get("stopReason"), message.get("errorMessage")
        self.stop_reason = reason if isinstance(reason, str) else None
        self.error = error if isinstance(error, str) else None
        self.usage = added(self.usage, object_of(message.get("usage")))

    def ended(self, *, was_aborted: bool) -> TurnEnded:
        """How it ended, by the last message in it; a failure before a retry counts no more."""
        usage = self.usage or None
        if was_aborted or self.stop_reason == "aborted":
            return TurnEnded(Ending.CANCELLED, stop_reason="cancelled", usage=usage)
        if self.stop_reason == "error":
            error = self.error or "the agent gave no reason"
            return TurnEnded(Ending.FAILED, error=error, reason="agent_error", usage=usage)
        reason = self.stop_reason or "stop"
        stop_reason = _STOP_REASONS.get(reason, reason)
        return TurnEnded(Ending.COMPLETED, stop_reason=stop_reason, usage=usage)


def added(sums: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    """Both accounts together, member by member; what is no number is left out."""
    result = dict(sums)
    for name, value in more.items():
        if isinstance(value, dict):
            result[name] = added(object_of(result.get(name)), value)
        elif type(value) in (int, float):
            before = result.get(name, 0)
            result[name] = value + (before if type(before) in (int, float) else 0)
    return result


@dataclass(frozen=True, slots=True)
class Passing:
    """A client's command, passed on as it came; `sequence` is its place on the axon."""

    sequence: int
    command: str


@dataclass(frozen=True, slots=True)
class Prompting:
    """The prompt of a turn; `is_own` when the broker wrote it."""

    turn: Turn
    is_own: bool


@dataclass(frozen=True, slots=True)
class Interrupting:
    """An abort, of a client or of the broker itself."""

    is_own: bool


@dataclass(frozen=True, slots=True)
class Restoring:
    """The session that a new process is to go on with."""

    session: str


@dataclass(frozen=True, slots=True)
class Greeting:
    """Where a process stands that was told to go on with `session`; it is ready after that."""

    session: str


@dataclass(frozen=True, slots=True)
class Learning:
    """Where the agent stands: after its start, or after it went to another session."""


Purpose = Passing | Prompting | Interrupting | Restoring | Greeting | Learning


@dataclass(frozen=True, slots=True)
class Dialog:
    """A question of an extension: its number, whose turn it holds up, when the agent gives up."""

    number: int
    turn: Turn | None
    due_ms: int | None
