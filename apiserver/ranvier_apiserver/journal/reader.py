"""Reads pages of events and lists of axons, on connections that can not write.

Readers never block the writer, nor it them. A page is bounded in events and in bytes, whatever the
events' sizes, so a slow subscriber costs one page of memory at a time (J6).
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiosqlite
from ranvier.events import AxonEvent, Origin

from ranvier_apiserver.errors import AxonNotFound, JournalDamaged
from ranvier_apiserver.journal import opening, rows
from ranvier_apiserver.journal.store import AxonList, AxonQuery, History, Page
from ranvier_apiserver.state import Axon

CONNECTIONS: Final = 2
"""Each is a thread; the interpreter runs one at a time, so more would not read faster."""

PAGE_BYTES_MAX: Final = 4 * 1024 * 1024
"""A page ends after this much payload, but always holds one event."""


class Reader:
    """Opened once; `close` waits for reads that are under way."""

    def __init__(self, connections: list[aiosqlite.Connection]) -> None:
        self._all = connections
        self._free: asyncio.LifoQueue[aiosqlite.Connection] = asyncio.LifoQueue()
        for connection in connections:
            self._free.put_nowait(connection)

    @classmethod
    async def open(cls, path: Path) -> "Reader":
        uri = opening.read_only(path)
        return cls(
            [
                await aiosqlite.connect(uri, uri=True, isolation_level=None)
                for _ in range(CONNECTIONS)
            ]
        )

    async def close(self) -> None:
        for _ in self._all:
            connection = await self._free.get()
            await connection.close()

    async def read_after(
        self, axon: Axon, after: int, limit: int, origins: Collection[Origin] | None
    ) -> Page:
        wanted, extra = _origin_filter(origins)
        async with self._snapshot() as connection:
            head = await _head(connection, axon)
            found = await connection.execute_fetchall(
                "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence > ?"
                f"{wanted} ORDER BY sequence LIMIT ?",
                (axon.number, after, *extra, limit),
            )
            last, cut = _cut(found)
            at_end = not cut and len(list(found)) < limit
            events = await _events(
                connection, axon, f"sequence > ? AND sequence <= ?{wanted}", (after, last, *extra)
            )
        if origins is None:
            _expect_no_gap(axon, after, head, events, at_end)
        return Page(events, max(after, head) if at_end else last, at_end)

    async def read_before(self, axon: Axon, before: int | None, limit: int) -> History:
        async with self._snapshot() as connection:
            head = await _head(connection, axon)
            start = head + 1 if before is None else before
            found = await connection.execute_fetchall(
                "SELECT sequence, length(payload) FROM event WHERE axon = ? AND sequence < ?"
                " ORDER BY sequence DESC LIMIT ?",
                (axon.number, start, limit),
            )
            last, _ = _cut(found)
            events = await _events(
                connection, axon, "sequence >= ? AND sequence < ?", (last or start, start)
            )
        return History(events[::-1], head, bool(events) and events[0].sequence > 1)

    async def axons(self, query: AxonQuery) -> AxonList:
        where, values = _axon_filter(query)
        async with self._snapshot() as connection:
            total = None
            if query.with_total:
                counted = await connection.execute_fetchall(
                    f"SELECT count(*) FROM axon WHERE {where}", values
                )
                (total,) = next(iter(counted))
            if query.starting_after is not None:
                where = f"{where} AND number < ?"
                values = [*values, await _number_of(connection, query.starting_after)]
            found = await connection.execute_fetchall(
                f"SELECT {rows.AXON_FIELDS} FROM axon WHERE {where} ORDER BY number DESC LIMIT ?",
                [*values, query.limit + 1],
            )
        axons = [rows.axon_from(tuple(row)) for row in found]
        return AxonList(axons[: query.limit], len(axons) > query.limit, total)

    async def deleted_with_events(self) -> int | None:
        """The number of some deleted axon whose events are still there."""
        async with self._snapshot() as connection:
            found = await connection.execute_fetchall(
                "SELECT number FROM axon WHERE deleted_at_ms IS NOT NULL AND EXISTS"
                " (SELECT 1 FROM event WHERE event.axon = axon.number) LIMIT 1"
            )
        return next((row[0] for row in found), None)

    async def oldest_answer_ms(self) -> int | None:
        async with self._snapshot() as connection:
            found = await connection.execute_fetchall(
                "SELECT created_at_ms FROM answer ORDER BY number LIMIT 1"
            )
        return next((row[0] for row in found), None)

    @asynccontextmanager
    async def _snapshot(self) -> AsyncIterator[aiosqlite.Connection]:
        """A connection in a read transaction: all of its reads are of one moment."""
        connection = await self._free.get()
        try:
            await connection.execute("BEGIN")
            try:
                yield connection
            finally:
                await connection.execute("ROLLBACK")
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorname", "").startswith(
                ("SQLITE_CORRUPT", "SQLITE_NOTADB")
            ):
                raise JournalDamaged(f"The journal is damaged: {error}.") from error
            raise
        finally:
            self._free.put_nowait(connection)


async def _head(connection: aiosqlite.Connection, axon: Axon) -> int:
    found = await connection.execute_fetchall(
        "SELECT ifnull(max(sequence), 0) FROM event WHERE axon = ?", (axon.number,)
    )
    (head,) = next(iter(found))
    return int(head)


async def _events(
    connection: aiosqlite.Connection, axon: Axon, where: str, values: tuple[Any, ...]
) -> list[AxonEvent]:
    found = await connection.execute_fetchall(
        f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? AND {where} ORDER BY sequence",
        (axon.number, *values),
    )
    return [rows.event_from(axon.axon_id, tuple(row)) for row in found]


async def _number_of(connection: aiosqlite.Connection, axon_id: str) -> int:
    found = await connection.execute_fetchall(
        "SELECT number FROM axon WHERE axon_id = ?", (axon_id,)
    )
    for row in found:
        return int(row[0])
    raise AxonNotFound(axon_id)


def _origin_filter(origins: Collection[Origin] | None) -> tuple[str, tuple[int, ...]]:
    if origins is None:
        return "", ()
    numbers = sorted(rows.ORIGIN_NUMBERS[origin] for origin in origins)
    if numbers == [1, 3]:
        # What brokers ask; spelled as the partial index is, or SQLite would not use it.
        return " AND origin IN (1, 3)", ()
    return f" AND origin IN ({', '.join('?' * len(numbers))})", tuple(numbers)


def _cut(found: Iterable[Any]) -> tuple[int, bool]:
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
