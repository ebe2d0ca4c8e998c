"""SQL per axon where there is none: the journal lies on PostgreSQL, not in a file beside."""

import asyncio
from collections.abc import Sequence
from typing import Final

from ranvier_apiserver.axon_sql.wire import Statement
from ranvier_apiserver.errors import SqlUnavailable
from ranvier_apiserver.journal.store import Committed

WHY: Final = (
    "This server keeps its journal on PostgreSQL, where axons have no SQL databases. Read events "
    "with GET /v1/axons/{id}/events, and keep tables in a database of your own."
)


class NoAxonSql:
    """Implements `engine.SqlEngine` by saying so."""

    async def query(
        self, axon_id: str, statement: Statement, may_write: bool, once: bytes | None
    ) -> bytes:
        raise SqlUnavailable(WHY)

    async def batch(
        self, axon_id: str, statements: Sequence[Statement], may_write: bool, once: bytes | None
    ) -> bytes:
        raise SqlUnavailable(WHY)

    def committed(self, committed: Committed) -> None:
        """A listener of the journal; there is nothing to remove."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Nothing is open."""
