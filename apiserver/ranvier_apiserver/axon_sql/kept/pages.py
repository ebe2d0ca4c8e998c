"""The tables that keep users' databases: which pages are newer, and what a request changed.

All calls are made within a transaction of the caller's. A page carries a checksum, so that one
which PostgreSQL gives back otherwise than it was written is reported and not answered from (J7).
"""

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal.engine import Session
from ranvier_apiserver.journal.postgresql.session import PostgresSession

PAGES_AT_ONCE: Final = 1024
"""Pages of one read: 4 MiB of memory."""


@dataclass(frozen=True, slots=True)
class Kept:
    """`version` counts the transactions that changed the database; 0: there is none."""

    version: int = 0
    page_count: int = 0


def kept(session: Session, axon: int) -> Kept:
    found = session.execute(
        "SELECT version, page_count FROM axon_sql WHERE axon = ?", (axon,)
    ).fetchone()
    return Kept(*found) if found else Kept()


def newer(session: Session, axon: int, since: int) -> Iterator[tuple[int, bytes]]:
    """Number and content of the pages that changed after a version, in the numbers' order."""
    last = 0
    while True:
        found = session.execute(
            "SELECT page_number, content, checksum FROM axon_sql_page"
            " WHERE axon = ? AND version > ? AND page_number > ? ORDER BY page_number LIMIT ?",
            (axon, since, last, PAGES_AT_ONCE),
        ).fetchall()
        for last, content, checksum in found:
            if _checksum(axon, last, content) != checksum:
                raise JournalDamaged(f"page {last} was changed on disk")
            yield last, content
        if len(found) < PAGES_AT_ONCE:
            return


def keep(
    session: PostgresSession,
    axon: int,
    after: Kept,
    numbers: Sequence[int],
    content: Callable[[int], bytes],
) -> None:
    """The version `after`; in the pages of these numbers it differs from the one before."""
    session.execute(
        "DELETE FROM axon_sql_page WHERE axon = ? AND (page_number = ANY (?) OR page_number > ?)",
        (axon, list(numbers), after.page_count),
    )
    session.insert(
        "axon_sql_page",
        "axon, page_number, version, content, checksum",
        (
            (axon, number, after.version, page, _checksum(axon, number, page))
            for number, page in ((number, content(number)) for number in numbers)
        ),
    )
    session.execute(
        "INSERT INTO axon_sql (axon, version, page_count) VALUES (?, ?, ?)"
        " ON CONFLICT (axon) DO UPDATE"
        " SET version = excluded.version, page_count = excluded.page_count",
        (axon, after.version, after.page_count),
    )


def remove(session: Session, axon: int) -> None:
    """All that is kept of an axon's database."""
    session.execute("DELETE FROM axon_sql_page WHERE axon = ?", (axon,))
    session.execute("DELETE FROM axon_sql WHERE axon = ?", (axon,))


def _checksum(axon: int, number: int, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(f"{axon}/{number}".encode()))


def deleted_axons(session: Session) -> Sequence[str]:
    """Axons that were deleted and still have a database."""
    found = session.execute(
        "SELECT axon_id FROM axon_sql JOIN axon ON number = axon WHERE deleted_at_ms IS NOT NULL"
    )
    return [axon_id for (axon_id,) in found]
