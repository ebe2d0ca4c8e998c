"""The one turn of a mount: opened by its trigger, said to have started, delivered, ended once.

T3: the prompt may be delivered only when `turn.started` has its sequence. T4: an opened turn ends
by exactly one of the three terminals here, written after all that was put before. A cancel counts
only if it comes after `turn.started` on the axon: an earlier one meant an earlier turn.
"""

from dataclasses import dataclass
from enum import StrEnum

from ranvier.events import AxonEvent, NewEvent

from ranvier_broker import notices
from ranvier_broker.codecs.base import Ending, TurnEnded
from ranvier_broker.deadlines import Deadlines
from ranvier_broker.outbox import Ended, Outbox, Started


@dataclass(frozen=True, slots=True)
class Mount:
    """The mount's place: the devbox, which of its mounts, and the devbox's generation."""

    devbox_uid: str
    index: int
    generation: int

    def turn_id(self, trigger: int) -> str:
        """The same trigger makes the same id, in whatever pod."""
        return f"trn_{self.devbox_uid[:8]}_{self.index}_{trigger}"


class CancelMeans(StrEnum):
    """What a cancel can mean, by its place on the axon."""

    THIS_TURN = "this turn"
    AN_EARLIER_TURN = "an earlier turn"
    NO_TURN = "no turn"
    NOT_KNOWN_YET = "not known yet"


@dataclass(slots=True)
class _Turn:
    turn_id: str
    trigger: AxonEvent
    started_sequence: int | None = None
    is_delivered: bool = False
    is_cancelled: bool = False


class OneTurn:
    """Holds the open turn, if there is one, and writes its beginning and its end."""

    def __init__(self, mount: Mount, outbox: Outbox, deadlines: Deadlines) -> None:
        self._mount = mount
        self._outbox = outbox
        self._deadlines = deadlines
        self._turn: _Turn | None = None

    @property
    def is_open(self) -> bool:
        return self._turn is not None

    @property
    def is_delivered(self) -> bool:
        """Whether the agent has seen, or is about to see, the prompt."""
        return self._turn is not None and self._turn.is_delivered

    @property
    def is_started(self) -> bool:
        """Whether `turn.started` is on disk."""
        return self._turn is not None and self._turn.started_sequence is not None

    def open(self, trigger: AxonEvent) -> None:
        """Write `turn.started`; the outbox's cursors already stand on the trigger (T3)."""
        turn_id = self._mount.turn_id(trigger.sequence)
        self._turn = _Turn(turn_id, trigger)
        event = notices.turn_started(turn_id, trigger.sequence)
        self._outbox.put(event, Started(turn_id, trigger.sequence))

    def started(self, turn_id: str, sequence: int) -> None:
        """`turn.started` is on disk."""
        if self._turn is not None and self._turn.turn_id == turn_id:
            self._turn.started_sequence = sequence

    def deliver(self, now_ms: int) -> tuple[str, AxonEvent] | None:
        """The turn's id and trigger, once, when the agent may see the prompt."""
        turn = self._turn
        if turn is None or turn.started_sequence is None or turn.is_delivered:
            return None
        turn.is_delivered = True
        self._deadlines.begin(now_ms)
        return turn.turn_id, turn.trigger

    def meant_by(self, cancel: AxonEvent) -> CancelMeans:
        """What this cancel can mean."""
        if self._turn is None:
            return CancelMeans.NO_TURN
        if self._turn.started_sequence is None:
            return CancelMeans.NOT_KNOWN_YET
        if cancel.sequence < self._turn.started_sequence:
            return CancelMeans.AN_EARLIER_TURN
        return CancelMeans.THIS_TURN

    def cancelled(self, now_ms: int) -> None:
        """A client cancelled the turn; how it ends is still the agent's word."""
        if self._turn is not None:
            self._turn.is_cancelled = True
            self._deadlines.cancelled(now_ms)

    def ended(self, end: TurnEnded) -> bool:
        """The agent ended the turn. False if that was a failure (or nothing was open)."""
        turn = self._turn
        if turn is None:
            return False
        if self._deadlines.reason is not None or end.ending is Ending.FAILED:
            reason, error = end.reason or "agent_error", end.error or "the agent gave no reason"
            self.fail(error, reason, stop_reason=end.stop_reason)
            return False
        # An agent cancelled in a retry pause says end_turn: the cancel decides, not its word.
        if turn.is_cancelled or end.ending is Ending.CANCELLED:
            self._close(notices.turn_cancelled(turn.turn_id, end.stop_reason))
        else:
            self._close(notices.turn_completed(turn.turn_id, end.stop_reason, end.usage))
        return True

    def fail(
        self, error: str, reason: str, *, stop_reason: str | None = None, status: int | None = None
    ) -> None:
        """End the open turn as failed; the broker's own patience explains it better if it ended."""
        if self._turn is None:
            return
        if (over := self._deadlines.reason) is not None:
            error, reason = self._deadlines.error, over.value
        turn_id = self._turn.turn_id
        self._close(
            notices.turn_failed(turn_id, error, reason, stop_reason=stop_reason, status=status)
        )

    def _close(self, terminal: NewEvent) -> None:
        if self._turn is not None:
            self._outbox.put(terminal, Ended(self._turn.turn_id))
        self._turn = None
        self._deadlines.end()
