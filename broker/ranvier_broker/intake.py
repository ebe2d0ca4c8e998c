"""What a mount has read from its axon and not settled yet, and the two cursors that follow from it.

The queue of turns is the journal after the cursor (T2); here lies only its beginning, within a
bound. What does not fit is let go and read again when there is room: the first event let go is
remembered, and everything of its kind after it is let go as well, so the order never changes.
"""

from collections import deque
from typing import Final

from ranvier.events import AxonEvent

EVENTS_HELD_MAX: Final = 256
"""Events in memory, of each kind. Turns are minutes long: reading on later costs nothing."""

BYTES_HELD_MAX: Final = 16 * 1024 * 1024
"""Payload bytes in memory, both kinds together: four of the largest events."""


class Intake:
    """Inbound events between arrival and settlement, as sequences of one axon."""

    def __init__(self, cursor: int, control_cursor: int) -> None:
        self._turns: deque[AxonEvent] = deque()
        self._controls: deque[AxonEvent] = deque()
        self._answers_due: dict[int, int] = {}  # requests not answered yet, and their bytes
        self.unanswered_bytes = 0
        self._seen = cursor
        self._turns_read = cursor
        self._controls_read = control_cursor
        self._control_cursor = control_cursor
        self._let_go: dict[bool, int] = {}  # is_turn → the first one let go
        self._bytes = 0
        self._has_settled = False

    # --- arrival

    def offer(self, event: AxonEvent, *, is_turn: bool) -> None:
        """Take an event in; one that was read before changes nothing."""
        is_new = event.sequence > self._seen
        self._seen = max(self._seen, event.sequence)
        read = self._turns_read if is_turn else self._controls_read
        if event.sequence <= read:
            # Settled earlier, but only now can the cursor pass it.
            self._has_settled = self._has_settled or is_new
            return
        queue = self._turns if is_turn else self._controls
        full = len(queue) >= EVENTS_HELD_MAX or self._bytes + len(event.payload) > BYTES_HELD_MAX
        if is_turn in self._let_go or (full and queue):
            self._let_go.setdefault(is_turn, event.sequence)
            return
        if is_turn:
            self._turns_read = event.sequence
        else:
            self._controls_read = event.sequence
        queue.append(event)
        self._bytes += len(event.payload)

    def read_again_after(self) -> int | None:
        """Where to read again because something was let go and there is room now."""
        if not self._let_go:
            return None
        first, is_turn = min((sequence, kind) for kind, sequence in self._let_go.items())
        if self._turns if is_turn else self._controls:
            return None
        after = first - 1
        self._let_go.clear()
        # Until they come again, nothing after this point counts as seen.
        self._seen = after
        return after

    # --- settlement

    @property
    def next_turn(self) -> AxonEvent | None:
        """The first waiting trigger, once all messages before it are settled."""
        # What is being read again may bring a message before it: `_seen` has gone back then.
        if not self._turns or self._turns[0].sequence > self._seen:
            return None
        return None if self._first_open_control() < self._turns[0].sequence else self._turns[0]

    def take_turn(self) -> AxonEvent:
        """The trigger gets its turn."""
        self._has_settled = True
        return self._taken(self._turns)

    @property
    def next_control(self) -> AxonEvent | None:
        """The first control message that was not delivered."""
        return self._controls[0] if self._controls else None

    def take_control(self, *, answer_due: bool = False) -> AxonEvent:
        """The message was delivered; it is settled unless an answer is due."""
        event = self._taken(self._controls)
        if answer_due:
            self._answers_due[event.sequence] = len(event.payload)
            self.unanswered_bytes += len(event.payload)
        else:
            self._has_settled = True
        return event

    def settle(self, sequence: int) -> None:
        """The request was answered."""
        self.unanswered_bytes -= self._answers_due.pop(sequence, 0)
        self._has_settled = True

    # --- the cursors

    def take_news(self) -> bool:
        """Whether anything was settled since this was asked last: else cursors are no news."""
        news, self._has_settled = self._has_settled, False
        return news

    @property
    def cursor(self) -> int:
        """Every inbound event up to here is settled, or is the trigger of the open turn."""
        unsettled = min(self._first_open_control(), self._first_open_turn())
        return min(self._seen, unsettled - 1)

    @property
    def control_cursor(self) -> int:
        """Every control message up to here is settled; never goes back."""
        read = max(self._seen, self._controls_read)
        settled = min(read, self._first_open_control() - 1)
        self._control_cursor = max(self._control_cursor, settled)
        return self._control_cursor

    def _first_open_control(self) -> int:
        waiting = [self._controls[0].sequence] if self._controls else []
        gone = [self._let_go[False]] if False in self._let_go else []
        return min([*waiting, *self._answers_due, *gone], default=_NONE)

    def _first_open_turn(self) -> int:
        waiting = [self._turns[0].sequence] if self._turns else []
        gone = [self._let_go[True]] if True in self._let_go else []
        return min([*waiting, *gone], default=_NONE)

    def _taken(self, queue: deque[AxonEvent]) -> AxonEvent:
        event = queue.popleft()
        self._bytes -= len(event.payload)
        return event


_NONE: Final = 1 << 62
"""Larger than any sequence."""
