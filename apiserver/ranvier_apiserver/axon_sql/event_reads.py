"""Pages of an axon's events for `rl_axon_events`: which rows to read, and whether they are whole.

Events are immutable, so many short reads up to one head see the same as one long read would; and
a long one would keep the journal from being tidied for as long as a user's query takes.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from ranvier_apiserver.errors import AxonDeleted, JournalDamaged
from ranvier_apiserver.journal.checksum import is_whole

FIRST_PAGE_ROWS: Final = 64
"""Most queries want a few events; the first page is small for them."""

PAGE_ROWS: Final = 1024
PAGE_BYTES_MAX: Final = 2 * 1024 * 1024
"""A page ends after so much payload, but always holds one event."""

FILTERED_SPAN: Final = 50_000
"""Sequences looked through by one read of a filtered page: a few tens of milliseconds."""

HEAD: Final = "SELECT coalesce(max(sequence), 0) FROM event WHERE axon = ?"

Row = tuple[Any, ...]
"""sequence, timestamp_ms, origin (1 EXTERNAL, 2 AGENT, 3 USER, 4 SYSTEM), source, event_type and
payload, which is None where it was not asked for."""

Read = Callable[[str, Sequence[Any]], Generator[Row, None, None]]
"""Runs a statement with `?` for values on the journal; closed before its end it reads no more."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events, and in which order. `first` and `last` are inclusive."""

    first: int
    last: int
    newest_first: bool = False
    payload: bool = True
    origin: int | None = None
    event_type: str | None = None

    @property
    def is_filtered(self) -> bool:
        return self.origin is not None or self.event_type is not None

    def window(self, rows: int) -> tuple[int, int]:
        """The sequences that one read of so many rows looks at."""
        span = FILTERED_SPAN if self.is_filtered else rows
        if self.newest_first:
            return max(self.first, self.last - span + 1), self.last
        return self.first, min(self.last, self.first + span - 1)

    def behind(self, sequence: int) -> "Wanted":
        """What is left once the page up to this sequence was read."""
        if self.newest_first:
            return replace(self, last=sequence - 1)
        return replace(self, first=sequence + 1)


class Events(Protocol):
    """A journal's events, wherever it lies. Raises AxonDeleted and JournalDamaged."""

    def head(self, number: int) -> int: ...

    def page(
        self, axon_id: str, number: int, wanted: Wanted, rows: int
    ) -> tuple[list[Row], Wanted | None]:
        """Some events, and what is left; None at the end. A page may be empty before the end."""
        ...


class EventPages:
    """Page after page; `tick` is called before each and raises when time is up."""

    def __init__(
        self,
        events: Events,
        axon_id: str,
        number: int,
        wanted: Wanted,
        tick: Callable[[], None],
    ) -> None:
        self._events = events
        self._axon = (axon_id, number)
        self._left: Wanted | None = wanted if wanted.first <= wanted.last else None
        self._rows = FIRST_PAGE_ROWS
        self._tick = tick

    def next(self) -> list[Row]:
        """The next page that holds something; empty at the end."""
        page: list[Row] = []
        while self._left is not None and not page:
            self._tick()
            page, self._left = self._events.page(*self._axon, self._left, self._rows)
            self._rows = PAGE_ROWS
        return page


def read_page(
    read: Read, axon_id: str, number: int, wanted: Wanted, rows: int
) -> tuple[list[Row], Wanted | None]:
    """`Events.page` of a journal in SQL."""
    first, last = wanted.window(rows)
    fields = "sequence, timestamp_ms, origin, source, event_type"
    if wanted.payload:
        fields = f"axon, {fields}, payload, total_bytes, inbound, checksum"
    page: list[Row] = []
    size = 0
    with closing(read(*select(fields, number, wanted, rows))) as found:
        for row in found:
            page.append(_checked(axon_id, row) if wanted.payload else (*row, None))
            if wanted.payload:
                size += len(row[6])
                if size > PAGE_BYTES_MAX:
                    break
    is_cut = len(page) == rows or size > PAGE_BYTES_MAX
    end = page[-1][0] if is_cut else (first if wanted.newest_first else last)
    if not wanted.is_filtered:
        _expect_no_gap(read, axon_id, number, wanted, page, end)
    left = wanted.behind(end)
    return page, left if left.first <= left.last else None


def select(fields: str, number: int, wanted: Wanted, rows: int) -> tuple[str, list[Any]]:
    """The statement and its values for these fields of a page."""
    where = "axon = ? AND sequence BETWEEN ? AND ?"
    values: list[Any] = [number, *wanted.window(rows)]
    if wanted.origin is not None:
        where += " AND origin = ?"
        values.append(wanted.origin)
    if wanted.event_type is not None:
        where += " AND event_type = ?"
        values.append(wanted.event_type)
    order = "DESC" if wanted.newest_first else "ASC"
    sql = f"SELECT {fields} FROM event WHERE {where} ORDER BY sequence {order} LIMIT ?"
    return sql, [*values, rows]


def _expect_no_gap(
    read: Read, axon_id: str, number: int, wanted: Wanted, page: Sequence[Row], end: int
) -> None:
    if wanted.newest_first:
        expected = range(wanted.last, end - 1, -1)
    else:
        expected = range(wanted.first, end + 1)
    if [row[0] for row in page] == list(expected):
        return
    deleted = read("SELECT deleted_at_ms FROM axon WHERE number = ?", (number,))
    if any(row[0] is not None for row in deleted):
        raise AxonDeleted(axon_id)
    raise JournalDamaged(
        f"Events of axon {axon_id!r} from {wanted.first} to {wanted.last} are missing on disk. "
        "The axon is refused; restore the journal from a backup."
    )


def _checked(axon_id: str, row: Row) -> Row:
    if not is_whole(row):
        raise JournalDamaged(
            f"Event {row[1]} of axon {axon_id!r} was changed on disk. The axon is refused; "
            "restore the journal from a backup."
        )
    return (*row[1:6], row[6].decode())
