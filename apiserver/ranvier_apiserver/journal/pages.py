"""Reads pages of events and lists of axons. Each function is one read transaction's work.

A page is bounded in events and in bytes, whatever the events' sizes, so a slow subscriber costs one
page of memory at a time (J6). Every event is checked as it is read: what is damaged or missing is
reported, never answered from (J7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ranvier_apiserver import frames
from ranvier_apiserver.errors import AxonDeleted, AxonNotFound, JournalDamaged
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal import inbound, rows
from ranvier_apiserver.journal.engine import Dialect, Session
from ranvier_apiserver.journal.store import AxonList, AxonQuery, FramePage, History, Page
from ranvier_apiserver.state import Axon

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A page ends after this much payload, but always holds one event."""

SCAN_EVENTS_MAX: Final = 20_000
"""A filtered page ends after looking at so many events: some ten milliseconds of a reader that
others wait for, however rare what matches is."""


@dataclass(frozen=True, slots=True)
class _Found:
    """Rows after a cursor, and what `Page` says of them."""

    rows: Sequence[rows.Row]
    cursor: int
    at_end: bool
    head: int


def read_after(
    session: Session,
    axon: Axon,
    after: int,
    limit: int,
    only: EventFilter,
) -> Page:
    found = _after(session, axon, after, limit, only)
    events = [rows.event_from(axon.axon_id, row) for row in found.rows]
    return Page(events, found.cursor, found.at_end, found.head)


def frames_after(
    session: Session, axon: Axon, after: int, limit: int, only: EventFilter
) -> FramePage:
    """As `read_after`, written as a stream's frames: a replay is made on the reader's thread."""
    found = _after(session, axon, after, limit, only)
    views = (rows.view_from(axon.axon_id, row) for row in found.rows)
    return FramePage(b"".join(map(frames.frame_of, views)), found.cursor)


def _after(session: Session, axon: Axon, after: int, limit: int, only: EventFilter) -> _Found:
    head, before = _head(session, axon, after)
    if only.is_everything:
        found = _all_after(session, axon, after, before, min(limit, head - after))
        cursor = found[-1][1] if found else max(after, head)
        _expect_no_gap(axon, after, found, cursor >= head, head)
        return _Found(found, cursor, cursor >= head, head)
    wanted, extra = _filter(only)
    begin = _before_next_inbound(session, axon, after, head) if only.is_inbound else after
    end = min(head, begin + SCAN_EVENTS_MAX)
    sizes = session.execute(
        "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence > ?"
        f" AND sequence <= ?{wanted} ORDER BY sequence LIMIT ?",
        (axon.number, begin, end, *extra, limit),
    ).fetchall()
    last, is_cut = _cut(sizes)
    seen_all = not is_cut and len(sizes) < limit
    where = f"sequence > ? AND sequence <= ?{wanted}"
    matching = _rows(session, axon, where, (begin, last, *extra))
    at_end = seen_all and end >= head
    return _Found(matching, max(after, end) if seen_all else last, at_end, head)


def _before_next_inbound(session: Session, axon: Axon, after: int, head: int) -> int:
    """What brokers ask for: however much an agent said in between, nobody walks over it."""
    newest = inbound.newest_up_to(session, axon, head)
    first = inbound.first_after(session, axon, after, newest)
    return head if first is None else first.sequence - 1


def _all_after(
    session: Session, axon: Axon, after: int, before: int, limit: int
) -> Sequence[rows.Row]:
    """The next events, whatever they are. `before`: the axon's bytes up to there; rows say their
    own, so that where a page ends need not be asked first. One event is there at any rate."""
    if limit <= 0:
        return ()
    where = "sequence > ? AND sequence <= ? AND (total_bytes <= ? OR sequence = ?)"
    return _rows(session, axon, where, (after, after + limit, before + PAGE_BYTES_MAX, after + 1))


def read_before(
    session: Session, axon: Axon, before: int | None, limit: int, only: EventFilter
) -> History:
    wanted, extra = _filter(only)
    head, _ = _head(session, axon)
    start = head + 1 if before is None else min(before, head + 1)
    if only.is_inbound:
        start = inbound.newest_up_to(session, axon, start - 1) + 1
    end = 1 if only.is_everything else max(1, start - SCAN_EVENTS_MAX)
    found = session.execute(
        "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence < ?"
        f" AND sequence >= ?{wanted} ORDER BY sequence DESC LIMIT ?",
        (axon.number, start, end, *extra, limit),
    ).fetchall()
    last, is_cut = _cut(found)
    where = f"sequence >= ? AND sequence < ?{wanted}"
    found_rows = _rows(session, axon, where, (last or start, start, *extra))
    events = [rows.event_from(axon.axon_id, row) for row in found_rows]
    cursor = last if is_cut or len(found) == limit else end
    return History(events[::-1], head, cursor > 1, cursor)


def axons(session: Session, query: AxonQuery, dialect: Dialect) -> AxonList:
    where, values = _axon_filter(query, dialect)
    total = None
    if query.with_total:
        counted = session.execute(f"SELECT count(*) FROM axon WHERE {where}", values)
        (total,) = counted.fetchone()
    if query.starting_after is not None:
        where = f"{where} AND number < ?"
        values = [*values, _number_of(session, query.starting_after)]
    found = session.execute(
        f"SELECT {rows.AXON_FIELDS} FROM axon WHERE {where} ORDER BY number DESC LIMIT ?",
        [*values, query.limit + 1],
    )
    axons = [rows.axon_from(row) for row in found]
    return AxonList(axons[: query.limit], len(axons) > query.limit, total)


def deleted_with_events(session: Session) -> int | None:
    """The number of some deleted axon whose events are still there."""
    found = session.execute(
        "SELECT number FROM axon WHERE deleted_at_ms IS NOT NULL AND EXISTS"
        " (SELECT 1 FROM event WHERE event.axon = axon.number) LIMIT 1"
    ).fetchone()
    return found[0] if found else None


def oldest_answer_ms(session: Session) -> int | None:
    found = session.execute("SELECT created_at_ms FROM answer ORDER BY number LIMIT 1").fetchone()
    return found[0] if found else None


def _head(session: Session, axon: Axon, after: int = 0) -> tuple[int, int]:
    """The axon's head, and its bytes up to and with `after`.

    Of the axon as it is in this snapshot: another replica may have deleted it just now.
    """
    head, before, deleted_at_ms = session.execute(
        "SELECT (SELECT coalesce(max(sequence), 0) FROM event WHERE axon = ?),"
        " (SELECT total_bytes FROM event WHERE axon = ? AND sequence = ?), deleted_at_ms"
        " FROM axon WHERE number = ?",
        (axon.number, axon.number, after, axon.number),
    ).fetchone()
    if deleted_at_ms is not None:
        raise AxonDeleted(axon.axon_id)
    return int(head), int(before or 0)


def _rows(session: Session, axon: Axon, where: str, values: tuple[Any, ...]) -> Sequence[rows.Row]:
    return session.execute(
        f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? AND {where} ORDER BY sequence",
        (axon.number, *values),
    ).fetchall()


def _number_of(session: Session, axon_id: str) -> int:
    found = session.execute("SELECT number FROM axon WHERE axon_id = ?", (axon_id,)).fetchone()
    if found is None:
        raise AxonNotFound(axon_id)
    return int(found[0])


def _filter(only: EventFilter) -> tuple[str, tuple[Any, ...]]:
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
    axon: Axon, after: int, found: Sequence[rows.Row], at_end: bool, head: int
) -> None:
    """J1 on the way out: an event that vanished from the file is damage, not an end."""
    sequences = [row[1] for row in found]
    whole = sequences == list(range(after + 1, after + 1 + len(found)))
    if (
        not whole
        or (not found and after < head)
        or (at_end and max(after, head) != after + len(found))
    ):
        raise JournalDamaged(
            f"Events of axon {axon.axon_id!r} after {after} are missing on disk. The axon is "
            "refused; restore the journal from a backup."
        )


def _axon_filter(query: AxonQuery, dialect: Dialect) -> tuple[str, list[Any]]:
    terms, values = ["TRUE"], []
    if query.axon_id is not None:
        terms.append("axon_id = ?")
        values.append(query.axon_id)
    if query.name_prefix is not None:
        terms.append("substr(name, 1, length(?)) = ?")
        values += [query.name_prefix] * 2
    if query.search is not None:
        either = [dialect.contains.format(field=field) for field in ("axon_id", "name")]
        terms.append(f"({' OR '.join(either)})")
        values += [query.search] * 2
    for key, allowed in query.metadata.items():
        marks = ", ".join("?" * len(allowed))
        terms.append(dialect.has_pair.format(marks=marks))
        values += [key, *allowed]
    return " AND ".join(terms), values
