"""One request at a copy: brought up to date before, kept after. In a thread of the server's."""

import json
import mmap
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from ranvier_apiserver.axon_sql import wire
from ranvier_apiserver.axon_sql.event_reads import (
    HEAD,
    PAGE_BYTES_MAX,
    Row,
    Wanted,
    read_page,
    select,
)
from ranvier_apiserver.axon_sql.files import PAGE_BYTES, log_of
from ranvier_apiserver.axon_sql.kept import log_pages, pages
from ranvier_apiserver.axon_sql.kept.copies import Copies
from ranvier_apiserver.axon_sql.kept.pages import Kept
from ranvier_apiserver.axon_sql.wire import Ask, Outcome, Reply
from ranvier_apiserver.errors import AxonDeleted, JournalDamaged
from ranvier_apiserver.journal.engine import EngineError
from ranvier_apiserver.journal.postgresql.session import (
    BEGIN_READ,
    LockTaken,
    PostgresSession,
)
from ranvier_apiserver.state import Axon

BEGIN_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
"""So that what is read after a wait for the lock is what its holder before committed."""

LOCK_CLASS: Final = 0x52564E53
"""Of the axons' locks among the server's advisory locks ("RVNS")."""


def locking(axon: int) -> tuple[str, tuple[int, int]]:
    """The statement that takes an axon's lock until the transaction's end. Two axons may share one:
    they only wait for each other."""
    return "SELECT pg_advisory_xact_lock(?::int, ?::int)", (LOCK_CLASS, axon % 2**31)


class Stay:
    """`connect` gives a connection, which `leave` gives back."""

    def __init__(self, axon: Axon, copies: Copies, connect: Callable[[], PostgresSession]) -> None:
        self._axon = axon
        self._copies = copies
        self._connect = connect
        self._session: PostgresSession | None = None
        self._path = copies.path(axon.axon_id)
        self._version: Kept | None = copies.take(axon.axon_id)
        """Of the copy; None while it may be anything."""

    def answer(self, ask: Ask, body: bytes) -> Reply:
        """Never raises: whatever goes wrong ends the job, and nothing is kept then."""
        try:
            return Reply(Outcome.DONE, self._answer(ask, body))
        except LockTaken:
            return Reply(Outcome.BUSY, b"Another request is writing to this axon's database.")
        except AxonDeleted as error:
            return Reply(Outcome.AXON_DELETED, str(error).encode())
        except JournalDamaged as error:
            events = ask in (Ask.HEAD, Ask.PAGE)
            outcome = Outcome.JOURNAL_DAMAGED if events else Outcome.FILE_DAMAGED
            return Reply(outcome, str(error).encode())
        except _Unsure as error:
            return Reply(Outcome.UNSURE, str(error).encode())
        except (EngineError, OSError, log_pages.UnfinishedLog) as error:
            return Reply(Outcome.NOT_WRITTEN, str(error).encode())

    def leave(self, is_sound: bool) -> PostgresSession | None:
        """The request is over; its transaction too, once the connection is given back."""
        axon_id = self._axon.axon_id
        if is_sound and self._version is not None:
            self._copies.give(axon_id, self._version)
        else:
            self._copies.drop(axon_id)
        return self._session

    def _answer(self, ask: Ask, body: bytes) -> bytes:
        if self._session is None:
            self._session = self._connect()
        match ask:
            case Ask.READY:
                self._ready(self._session, to_write=bool(body[0]))
                return b""
            case Ask.KEEP:
                self._keep(self._session)
                return b""
            case Ask.HEAD:
                ((head,),) = self._read(HEAD, (self._axon.number,))
                return json.dumps(head).encode()
            case Ask.PAGE:
                return wire.page_told(*self._page(*wire.page_wanted(body)))

    # --- the database

    def _ready(self, session: PostgresSession, to_write: bool) -> None:
        if to_write:
            session.run(BEGIN_WRITE)
            session.execute(*locking(self._axon.number))
            self._refresh(session)
            return
        session.run(BEGIN_READ)
        try:
            self._refresh(session)
        finally:
            if session.is_open:
                session.run("ROLLBACK")

    def _refresh(self, session: PostgresSession) -> None:
        """Bring the copy to the version that is kept."""
        newest, had = pages.kept(session, self._axon.number), self._version
        if newest == had:
            return
        self._version = None
        if had is None or newest.version < had.version:
            had = Kept()
        if not newest.version:
            self._path.unlink(missing_ok=True)
        else:
            count = 0
            with open(self._path, "r+b" if had.version else "wb") as file:
                for number, content in pages.newer(session, self._axon.number, had.version):
                    file.seek((number - 1) * PAGE_BYTES)
                    file.write(content)
                    count += 1
                file.truncate(newest.page_count * PAGE_BYTES)
            if not had.version and count != newest.page_count:
                raise JournalDamaged(f"{newest.page_count - count} of its pages are missing")
        self._version = newest

    def _keep(self, session: PostgresSession) -> None:
        before, self._version = self._version, None
        if before is None:
            raise OSError("its copy here was lost")
        with _mapped(log_of(self._path)) as log, _mapped(self._path) as whole:
            changed = log_pages.changes(log, PAGE_BYTES)
            if changed is None:
                self._version = before
                return
            after = Kept(before.version + 1, changed.page_count)
            # Of a database that was made just now the log has not all: its schema came before.
            numbers = sorted(changed.pages) if before.version else range(1, after.page_count + 1)

            def content(number: int) -> bytes:
                at = changed.pages.get(number)
                if at is None:
                    return whole[(number - 1) * PAGE_BYTES : number * PAGE_BYTES]
                return log[at : at + PAGE_BYTES]

            self._expect_live(session)
            pages.keep(session, self._axon.number, after, numbers, content)
        try:
            session.run("COMMIT")
        except EngineError as error:
            raise _Unsure(str(error)) from error
        self._version = after

    def _expect_live(self, session: PostgresSession) -> None:
        (deleted_at_ms,) = session.execute(
            "SELECT deleted_at_ms FROM axon WHERE number = ?", (self._axon.number,)
        ).fetchone()
        if deleted_at_ms is not None:
            raise AxonDeleted(self._axon.axon_id)

    # --- the axon's events

    def _page(self, wanted: Wanted, rows: int) -> tuple[list[Row], Wanted | None]:
        if "\0" in (wanted.event_type or ""):
            return [], None  # no event has such a type, and PostgreSQL no such text
        if wanted.payload:
            sizes = self._read(*select("length(payload)", self._axon.number, wanted, rows))
            rows = _fitting([size for (size,) in sizes]) or rows
        return read_page(self._read, self._axon.axon_id, self._axon.number, wanted, rows)

    def _read(self, sql: str, values: Sequence[Any]) -> Generator[Row, None, None]:
        assert self._session is not None
        yield from self._session.execute(sql, values).fetchall()


class _Unsure(Exception):
    """The connection broke while the server committed."""


def _fitting(sizes: Sequence[int]) -> int:
    """How many of the payloads fit into a page of bytes; the client's library takes all at once."""
    total = count = 0
    for size in sizes:
        total += size
        count += 1
        if total > PAGE_BYTES_MAX:
            break
    return count


@contextmanager
def _mapped(path: os.PathLike[str]) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes; none where there is no file."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        yield b""
        return
    try:
        if not os.fstat(handle).st_size:
            yield b""
            return
        with mmap.mmap(handle, 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped
    finally:
        os.close(handle)
