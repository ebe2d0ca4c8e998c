"""What a mount has to write to its axon: one append in flight, the rest batched by arrival.

Order is kept, batches are numbered within the epoch, and a batch carries the cursors as they were
after its last event: a cursor must never be on disk before the event that explains it (T3).
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import NewEvent

from ranvier_broker.commands import Append, EndMark, StartMark

BATCH_EVENTS_MAX: Final = 256
"""Events in one append; far below the journal's limit, enough to amortise a disk sync."""

BATCH_BYTES_MAX: Final = 4 * 1024 * 1024
"""Payload bytes in one append; a single larger event still goes, alone."""

EVENT_OVERHEAD_BYTES: Final = 200
"""What an event costs besides its payload."""


@dataclass(frozen=True, slots=True)
class Started:
    """The turn whose `turn.started` an event is."""

    turn_id: str
    trigger: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The turn whose terminal an event is."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Question:
    """The agent's question that an event shows."""

    number: int


Meaning = Started | Ended | Question


@dataclass(frozen=True, slots=True)
class _Entry:
    event: NewEvent
    meaning: Meaning | None
    cursor: int
    control_cursor: int
    size: int


class Outbox:
    """Events between the machine and the journal."""

    def __init__(self) -> None:
        self._entries: deque[_Entry] = deque()
        self._in_flight: list[_Entry] | None = None
        self._epoch = 0
        self._batch = 0
        self._cursors = (0, 0)
        self._sent_cursors = (0, 0)
        self._cursors_due = False
        self._state: Mapping[str, Any] | None = None
        self.bytes = 0
        """Bytes not yet on disk."""

    @property
    def is_empty(self) -> bool:
        """Whether all is on disk."""
        return not self._entries and self._in_flight is None

    def open(self, epoch: int, cursor: int, control_cursor: int) -> None:
        """The mount is ours: from now on batches are made."""
        self._epoch = epoch
        self._cursors = self._sent_cursors = (cursor, control_cursor)

    def put(self, event: NewEvent, meaning: Meaning | None = None) -> None:
        """Add an event at the end."""
        size = len(event.payload) + EVENT_OVERHEAD_BYTES
        self._entries.append(_Entry(event, meaning, *self._cursors, size))
        self.bytes += size

    def move(self, cursor: int, control_cursor: int, *, is_news: bool = False) -> None:
        """The cursors stand here now, after all events that were put before.

        Only news is worth an append without events; the rest goes along with the next one.
        """
        self._cursors = (cursor, control_cursor)
        self._cursors_due = self._cursors_due or is_news

    def keep(self, state: Mapping[str, Any]) -> None:
        """The state to keep for the next broker; the newest counts."""
        self._state = state

    def cut(self) -> Append | None:
        """The next batch, if there is something to write and none in flight."""
        if self._epoch == 0 or self._in_flight is not None:
            return None
        cursors_due = self._cursors_due and self._cursors != self._sent_cursors
        if not self._entries and self._state is None and not cursors_due:
            return None
        entries = self._next_entries()
        cursor, control_cursor = self._cursors
        self._cursors_due = bool(self._entries) and self._cursors_due
        if self._entries:  # not the last batch: the newest cursors are not explained yet
            cursor, control_cursor = entries[-1].cursor, entries[-1].control_cursor
        # What was put before the mount was ours knows no cursors; they never go back.
        cursor = max(cursor, self._sent_cursors[0])
        control_cursor = max(control_cursor, self._sent_cursors[1])
        moved = (cursor, control_cursor) != self._sent_cursors
        state, self._state = self._state, None
        self._batch += 1
        self._in_flight = entries
        self._sent_cursors = (cursor, control_cursor)
        return Append(
            epoch=self._epoch,
            batch=self._batch,
            events=tuple(entry.event for entry in entries),
            cursor=cursor if moved else None,
            control_cursor=control_cursor if moved else None,
            state=state,
            marks=tuple(_marks(entries)),
        )

    def confirm(self, batch: int, first_sequence: int) -> list[tuple[Meaning, int]]:
        """The batch is on disk: return the sequences of the events that mean something."""
        if batch != self._batch or self._in_flight is None:
            return []
        entries, self._in_flight = self._in_flight, None
        self.bytes -= sum(entry.size for entry in entries)
        numbered = enumerate(entries, first_sequence)
        return [(entry.meaning, number) for number, entry in numbered if entry.meaning]

    def _next_entries(self) -> list[_Entry]:
        taken: list[_Entry] = []
        size = 0
        while self._entries and len(taken) < BATCH_EVENTS_MAX:
            size += self._entries[0].size
            if taken and size > BATCH_BYTES_MAX:
                break
            taken.append(self._entries.popleft())
        return taken


def _marks(entries: list[_Entry]) -> list[StartMark | EndMark]:
    marks: list[StartMark | EndMark] = []
    for index, entry in enumerate(entries):
        match entry.meaning:
            case Started(turn_id, trigger):
                marks.append(StartMark(turn_id, trigger, index))
            case Ended(turn_id):
                marks.append(EndMark(turn_id, index))
            case _:
                pass
    return marks
