"""Reads pages of events and lists of axons. Each function is one read transaction's work.

A page is bounded in events and in bytes, whatever the events' sizes, so a slow subscriber costs one
page of memory at a time (J6). Every event is checked as it is read: what is damaged or missing is
reported, never answered from (J7).
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_apiserver.errors import AxonNotFound, JournalDamaged
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal import rows
from ranvier_apiserver.journal.store import AxonList, AxonQuery, History, Page
from ranvier_apiserver.state import Axon

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A page ends after this much payload, but always holds one event."""

SCAN_EVENTS_MAX: Final = 20_000
"""A filtered page ends after looking at so many events: some ten milliseconds of a reader that
others wait for, however rare what matches is."""


def read_after(
    connection: sqlite3.Connection,
    axon: Axon,
    after: int,
    limit: int,
    only: EventFilter,
) -> Page:
    wanted, extra = _filter(only)
    head = _head(connection, axon)
    end = head if _is_indexed(only) else min(head, after + SCAN_EVENTS_MAX)
    found = connection.execute(
        "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence > ?"
        f" AND sequence <= ?{wanted} ORDER BY sequence LIMIT ?",
        (axon.number, after, end, *extra, limit),
    ).fetchall()
    last, is_cut = _cut(found)
    seen_all = not is_cut and len(found) < limit
    where = f"sequence > ? AND sequence <= ?{wanted}"
    events = _events(connection, axon, where, (after, last, *extra))
    at_end = seen_all and end >= head
    if only.is_everything:
        _expect_no_gap(axon, after, head, events, at_end)
    return Page(events, max(after, end) if seen_all else last, at_end, head)


def read_before(
    connection: sqlite3.Connection, axon: Axon, before: int | None, limit: int, only: EventFilter
) -> History:
    wanted, extra = _filter(only)
    head = _head(connection, axon)
    start = head + 1 if before is None else min(before, head + 1)
    end = 1 if _is_indexed(only) else max(1, start - SCAN_EVENTS_MAX)
    found = connection.execute(
        "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence < ?"
        f" AND sequence >= ?{wanted} ORDER BY sequence DESC LIMIT ?",
        (axon.number, start, end, *extra, limit),
    ).fetchall()
    last, is_cut = _cut(found)
    where = f"sequence >= ? AND sequence < ?{wanted}"
    events = _events(connection, axon, where, (last or start, start, *extra))
    cursor = last if is_cut or len(found) == limit else end
    return History(events[::-1], head, cursor > 1, cursor)


def axons(connection: sqlite3.Connection, query: AxonQuery) -> AxonList:
    where, values = _axon_filter(query)
    total = None
    if query.with_total:
        counted = connection.execute(f"SELECT count(*) FROM axon WHERE {where}", values)
        (total,) = counted.fetchone()
    if query.starting_after is not None:
        where = f"{where} AND number < ?"
        values = [*values, _number_of(connection, query.starting_after)]
    found = connection.execute(
        f"SELECT {rows.AXON_FIELDS} FROM axon WHERE {where} ORDER BY number DESC LIMIT ?",
        [*values, query.limit + 1],
    )
    axons = [rows.axon_from(row) for row in found]
    return AxonList(axons[: query.limit], len(axons) > query.limit, total)


def deleted_with_events(connection: sqlite3.Connection) -> int | None:
    """The number of some deleted axon whose events are still there."""
    found = connection.execute(
        "SELECT number FROM axon WHERE deleted_at_ms IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM event WHERE event.axon = axon.number) LIMIT 1"
    ).fetchone()
    return found[0] if found else None


def oldest_answer_ms(connection: sqlite3.Connection) -> int | None:
    found = connection.execute(
        "SELECT created_at_ms FROM answer ORDER BY number LIMIT 1"
    ).fetchone()
    return found[0] if found else None


def _head(connection: sqlite3.Connection, axon: Axon) -> int:
    (head,) = connection.execute(
        "SELECT ifnull(max(sequence), 0) FROM event WHERE axon = ?", (axon.number,)
    ).fetchone()
    return int(head)


def _events(
    connection: sqlite3.Connection, axon: Axon, where: str, values: tuple[Any, ...]
) -> list[AxonEvent]:
    found = connection.execute(
        f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? AND {where} ORDER BY sequence",
        (axon.number, *values),
    )
    return [rows.event_from(axon.axon_id, row) for row in found]


def _number_of(connection: sqlite3.Connection, axon_id: str) -> int:
    found = connection.execute("SELECT number FROM axon WHERE axon_id = ?", (axon_id,)).fetchone()
    if found is None:
        raise AxonNotFound(axon_id)
    return int(found[0])


def _is_indexed(only: EventFilter) -> bool:
    """Whether every event that is looked at matches, so that `limit` bounds the work too."""
    return only.is_everything or only.is_inbound


def _filter(only: EventFilter) -> tuple[str, tuple[Any, ...]]:
    if only.is_inbound:
        # What brokers ask; spelled as the partial index is, or SQLite would not use it.
        return " AND origin IN (1, 3)", ()
    terms = ""
    values: list[Any] = []
    if only.origins is not None:
        terms += f" AND origin IN ({', '.join('?' * len(only.origins))})"
        values += sorted(rows.ORIGIN_NUMBERS[origin] for origin in only.origins)
    if only.event_types is not None:
        terms += f" AND event_type IN ({', '.join('?' * len(only.event_types))})"
        values += sorted(only.event_types)
    return terms, tuple(values)


def _cut(found: Sequence[tuple[int, int]]) -> tuple[int, bool]:
    """The last sequence that still fits into a page of bytes, and whether that cut the list."""
    last = size = 0
    for sequence, payload_bytes in found:
        size += payload_bytes
        if last and size > PAGE_BYTES_MAX:
            return last, True
        last = sequence
    return last, False


def _expect_no_gap(
    axon: Axon, after: int, head: int, events: list[AxonEvent], at_end: bool
) -> None:
    """J1 on the way out: an event that vanished from the file is damage, not an end."""
    expected = range(after + 1, after + 1 + len(events))
    whole = [event.sequence for event in events] == list(expected)
    if not whole or (at_end and max(after, head) != after + len(events)):
        raise JournalDamaged(
            f"Events of axon {axon.axon_id!r} after {after} are missing on disk. The axon is "
            "refused; restore the journal from a backup."
        )


def _axon_filter(query: AxonQuery) -> tuple[str, list[Any]]:
    terms, values = ["1"], []
    if query.axon_id is not None:
        terms.append("axon_id = ?")
        values.append(query.axon_id)
    if query.name_prefix is not None:
        terms.append("substr(name, 1, length(?)) = ?")
        values += [query.name_prefix] * 2
    if query.search is not None:
        terms.append("(instr(lower(axon_id), lower(?)) OR instr(lower(name), lower(?)))")
        values += [query.search] * 2
    for key, allowed in query.metadata.items():
        marks = ", ".join("?" * len(allowed))
        terms.append(
            "EXISTS (SELECT 1 FROM json_each(metadata) AS pair"
            f" WHERE pair.key = ? AND pair.value IN ({marks}))"
        )
        values += [key, *allowed]
    return " AND ".join(terms), values
