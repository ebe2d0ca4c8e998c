"""How long a turn may be silent and how long it may last, and what is done when that is over.

Agents retry for ever when their model is away (some never end a turn then, some go on saying so),
so the broker has limits of its own: cancel, which every stuck agent answered when tried; then the
process is ended. The turn then fails, and its end names the limit.
"""

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What is to be done about a turn that is over its limit."""

    CANCEL = "cancel"
    END_AGENT = "end the agent"


class Reason(StrEnum):
    """Which limit it was: the `reason` of `turn.failed`."""

    SILENCE = "silence"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in milliseconds."""

    silence_ms: int = 30 * 60_000
    """Without output and without an open question: longer than any tool should take unheard."""
    turn_ms: int | None = None
    """From the prompt to the turn's end, whatever happens in between; None is no limit."""
    cancelled_ms: int = 60_000
    """Silence after a client cancelled the turn; agents answered a cancel within half a second."""
    grace_ms: int = 10_000
    """From our own cancel to SIGTERM, and from SIGTERM to SIGKILL."""


class Deadlines:
    """The clocks of the open turn."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._began_ms: int | None = None
        self._heard_ms = 0
        self._is_cancelled = False
        self._reason: Reason | None = None
        self._step: Step | None = None
        self._next_ms: int | None = None

    @property
    def reason(self) -> Reason | None:
        """The limit that the open turn is over, if there is one."""
        return self._reason

    @property
    def error(self) -> str:
        """What to tell people."""
        if self._reason is Reason.DEADLINE:
            return f"the turn took longer than its {(self._patience.turn_ms or 0) // 1000} s"
        after = " after the turn was cancelled" if self._is_cancelled else ""
        return f"the agent said nothing for {self._silence_ms // 1000} s{after}"

    @property
    def _silence_ms(self) -> int:
        return self._patience.cancelled_ms if self._is_cancelled else self._patience.silence_ms

    def wake_at_ms(self, *, is_asking: bool) -> int | None:
        """When `due` must be asked. `is_asking`: silence is not the agent's, but a person's."""
        if self._step is not None or self._began_ms is None:
            return self._next_ms
        turn_ms = self._patience.turn_ms
        ends_ms = [] if turn_ms is None else [self._began_ms + turn_ms]
        if not is_asking:
            ends_ms.append(self._heard_ms + self._silence_ms)
        return min(ends_ms, default=None)

    def begin(self, now_ms: int) -> None:
        """The prompt was delivered."""
        self.end()
        self._began_ms = self._heard_ms = now_ms

    def heard(self, now_ms: int) -> None:
        """The agent spoke, or somebody spoke to it."""
        self._heard_ms = now_ms

    def cancelled(self, now_ms: int) -> None:
        """A client cancelled the turn: patience is shorter from now on."""
        self.heard(now_ms)
        self._is_cancelled = True

    def end(self) -> None:
        """The turn is over."""
        self._began_ms = self._reason = self._step = self._next_ms = None
        self._is_cancelled = False

    def due(self, now_ms: int, *, is_asking: bool) -> Step | None:
        """What is to be done now, each step once."""
        at_ms = self.wake_at_ms(is_asking=is_asking)
        if at_ms is None or self._began_ms is None or now_ms < at_ms:
            return None
        self._step = Step.END_AGENT if self._step else self._first_step(now_ms, self._began_ms)
        is_last = self._step is Step.END_AGENT
        self._next_ms = None if is_last else now_ms + self._patience.grace_ms
        return self._step

    def _first_step(self, now_ms: int, began_ms: int) -> Step:
        turn_ms = self._patience.turn_ms
        is_late = turn_ms is not None and now_ms >= began_ms + turn_ms
        self._reason = Reason.DEADLINE if is_late else Reason.SILENCE
        # An agent that says nothing after a client's cancel has had ours already.
        is_deaf = self._is_cancelled and self._reason is Reason.SILENCE
        return Step.END_AGENT if is_deaf else Step.CANCEL
