"""How long a turn may be silent, and what is done about one that is silent for longer.

Agents retry for ever when their model is away (some never end a turn then), so the broker has a
limit of its own: cancel, which every stuck agent answered when tried; then TERM, then KILL.
"""

from dataclasses import dataclass
from enum import StrEnum


class Step(StrEnum):
    """What is to be done about a silent turn."""

    CANCEL = "cancel"
    TERM = "term"
    KILL = "kill"


@dataclass(frozen=True, slots=True)
class Patience:
    """Limits in milliseconds."""

    silence_ms: int = 30 * 60_000
    """Without output and without an open question: longer than any tool should take unheard."""
    cancelled_ms: int = 60_000
    """The same after a client cancelled the turn; agents answered a cancel within half a second."""
    after_cancel_ms: int = 10_000
    """From our own cancel to TERM."""
    after_term_ms: int = 5_000
    """From TERM to KILL."""


class Silence:
    """The clock of the open turn."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._since_ms: int | None = None
        self._is_cancelled = False
        self._step: Step | None = None
        self._next_ms: int | None = None

    @property
    def is_over(self) -> bool:
        """Whether patience has ended with the open turn."""
        return self._step is not None

    @property
    def error(self) -> str:
        """What to tell people."""
        limit = self._patience.cancelled_ms if self._is_cancelled else self._patience.silence_ms
        after = " after the turn was cancelled" if self._is_cancelled else ""
        return f"the agent said nothing for {limit // 1000} s{after}"

    @property
    def wake_at_ms(self) -> int | None:
        """When `due` must be asked."""
        if self._step is not None or self._since_ms is None:
            return self._next_ms
        limit = self._patience.cancelled_ms if self._is_cancelled else self._patience.silence_ms
        return self._since_ms + limit

    def begin(self, now_ms: int) -> None:
        """The prompt was delivered."""
        self.end()
        self._since_ms = now_ms

    def heard(self, now_ms: int) -> None:
        """The agent spoke, or somebody spoke to it."""
        if self._since_ms is not None:
            self._since_ms = now_ms

    def cancelled(self, now_ms: int) -> None:
        """A client cancelled the turn: patience is shorter from now on."""
        self.heard(now_ms)
        self._is_cancelled = True

    def end(self) -> None:
        """The turn is over."""
        self._since_ms = self._step = self._next_ms = None
        self._is_cancelled = False

    def due(self, now_ms: int) -> Step | None:
        """What is to be done now, each step once."""
        at_ms = self.wake_at_ms
        if at_ms is None or now_ms < at_ms:
            return None
        if self._step is None and not self._is_cancelled:
            self._step, self._next_ms = Step.CANCEL, now_ms + self._patience.after_cancel_ms
        elif self._step in (None, Step.CANCEL):
            self._step, self._next_ms = Step.TERM, now_ms + self._patience.after_term_ms
        else:
            self._step, self._next_ms = Step.KILL, None
        return self._step
