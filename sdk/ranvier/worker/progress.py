"""How far a worker has come on one axon. Pure.

The cursor stands on the last event before which everything is handled, whatever was finished out of
order behind it. Reading starts again not at the cursor but at the last quiet moment before it, when
no turn was open: a turn's terminal repeats what came before, so that must be read again (its events
are not delivered again). What the view knew at that moment is kept beside the cursor.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

NOTES_EVERY: Final = 50
"""Events between two notes of a quiet moment: a note copies what the view remembers."""


@dataclass(frozen=True, slots=True)
class Position:
    """What is stored: the cursor, and from where and with what memory to read on."""

    cursor: int = 0
    read_after: int = 0
    memory: Mapping[str, Any] = field(default_factory=dict)


class Progress:
    """Counts deliveries of one axon's events until each is handled."""

    def __init__(self, position: Position) -> None:
        self._position = position
        self._open: dict[int, int] = {}  # sequence → deliveries not yet handled, in order
        self._notes: deque[tuple[int, Mapping[str, Any]]] = deque()
        self._last_note = position.read_after

    @property
    def position(self) -> Position:
        """What may be stored now: a worker that starts there misses nothing."""
        return self._position

    @property
    def events_ahead(self) -> int:
        """Events that were read and that the cursor has not passed."""
        return len(self._open)

    def wants_note(self, sequence: int) -> bool:
        """Whether it is time to note a quiet moment."""
        return sequence - self._last_note >= NOTES_EVERY

    def note(self, sequence: int, memory: Mapping[str, Any]) -> None:
        """After this event no turn is open, and the view knows this."""
        self._last_note = sequence
        self._notes.append((sequence, memory))

    def delivered(self, sequence: int, deliveries: int) -> None:
        """The next event was read, and is delivered to so many handlers (0: to nobody)."""
        self._open[sequence] = deliveries
        self._move()

    def handled(self, sequence: int) -> None:
        """One delivery of the event is over."""
        self._open[sequence] -= 1
        self._move()

    def _move(self) -> None:
        cursor, read_after = self._position.cursor, self._position.read_after
        memory = self._position.memory
        while self._open and next(iter(self._open.values())) == 0:
            cursor = next(iter(self._open))
            del self._open[cursor]
        while self._notes and self._notes[0][0] <= cursor:
            read_after, memory = self._notes.popleft()
        self._position = Position(cursor, read_after, memory)
