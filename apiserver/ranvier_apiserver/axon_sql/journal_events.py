"""Reads an axon's events out of the journal's file, in a worker."""

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

import apsw

from ranvier_apiserver.axon_sql.event_reads import HEAD, Row, Wanted, read_page
from ranvier_apiserver.errors import JournalDamaged

BUSY_MS: Final = 5000


class JournalEvents:
    """Implements `Events`. One connection, read-only; the worker never gives it a user's SQL."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None

    def head(self, number: int) -> int:
        ((head,),) = self._read(HEAD, (number,))
        return int(head)

    def page(
        self, axon_id: str, number: int, wanted: Wanted, rows: int
    ) -> tuple[list[Row], Wanted | None]:
        return read_page(self._read, axon_id, number, wanted, rows)

    def _read(self, sql: str, values: Sequence[Any]) -> Generator[Row, None, None]:
        try:
            if self._connection is None:
                self._connection = apsw.Connection(str(self._path), flags=apsw.SQLITE_OPEN_READONLY)
                self._connection.set_busy_timeout(BUSY_MS)
            found = self._connection.execute(sql, values)
            try:
                yield from found
            finally:
                found.close(True)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            raise JournalDamaged(f"The journal is damaged: {error}.") from error
