"""Where databases are between two requests: in files beside the journal, or kept by PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ranvier_apiserver.axon_sql.files import files_of, path_of, remove_files
from ranvier_apiserver.axon_sql.limits import AXON_WORKERS_MAX, Limits
from ranvier_apiserver.axon_sql.wire import Ask, Outcome, Reply
from ranvier_apiserver.state import Axon


class Visit(Protocol):
    """One request's stay at the axon's database."""

    async def answer(self, ask: Ask, body: bytes) -> Reply:
        """What the worker asks; an outcome other than DONE ends its job."""
        ...

    def ended(self, outcome: Outcome) -> None:
        """The worker replied, or died. Without this the visit was broken off."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a home is worked in.

    `folder` has the files that workers open, `journal` is the journal's file where they read it
    themselves. `axon_workers` requests of one axon may run at once. Every `sweep_seconds` somebody
    looks for what deleted axons left; None: only at start, and as they are deleted.
    """

    folder: Path
    journal: Path | None
    limits: Limits
    axon_workers: int
    sweep_seconds: float | None


class Home(Protocol):
    """All axons' databases."""

    terms: Terms

    def visit(self, axon: Axon) -> AbstractAsyncContextManager[Visit]: ...

    def name_of(self, axon_id: str) -> str:
        """What to restore from a backup when the axon's database is damaged."""
        ...

    async def leftovers(self) -> Sequence[str]:
        """Axons that have something here and may have been deleted. Raises JournalFailed."""
        ...

    async def remove(self, axon_id: str) -> None:
        """All that is kept of a deleted axon; while no request of it runs here."""
        ...

    async def close(self) -> None: ...


class OwnFiles:
    """Implements `Home` and `Visit` by SQLite's files in `folder`: nobody needs to be asked."""

    def __init__(self, folder: Path, journal: Path, limits: Limits | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.terms = Terms(folder, journal, limits or Limits(), AXON_WORKERS_MAX, None)

    @asynccontextmanager
    async def visit(self, _: Axon) -> AsyncIterator["OwnFiles"]:
        yield self

    async def answer(self, ask: Ask, _: bytes) -> Reply:
        return Reply(Outcome.BROKEN, f"a worker asked for {ask.name}".encode())

    def ended(self, outcome: Outcome) -> None:
        pass

    def name_of(self, axon_id: str) -> str:
        return path_of(self._folder, axon_id).name

    async def leftovers(self) -> Sequence[str]:
        return await asyncio.to_thread(files_of, self._folder)

    async def remove(self, axon_id: str) -> None:
        remove_files(path_of(self._folder, axon_id))

    async def close(self) -> None:
        pass
