"""The seam below the store: what a database engine does for the one writer and the readers.

Everything that decides stands above it (`commands`, `base`, `views`), once for all engines. SQLite
is behind `sqlite_engine`, PostgreSQL behind `postgresql`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ranvier_apiserver.journal.base import Base, Draft
from ranvier_apiserver.journal.store import Committed


class EngineError(Exception):
    """The database did not do what it was asked. The transaction is over."""


class LockHeld(EngineError):
    """Somebody else holds the database's lock, and the transaction was not to wait for it."""


class Rows(Protocol):
    """What a statement found."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Session(Protocol):
    """One connection of one thread. Statements mark their values with `?` on every engine."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Rows: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """The few words that SQL's engines do not share, as templates with `?` for values."""

    contains: str
    """Whether the text `{field}` contains a value, letters of either case."""

    has_pair: str
    """Whether the JSON object `metadata` has this key (a value) with one of the values {marks}."""


class ReadConnection(Protocol):
    """A connection of a reader's. Used by one thread at a time."""

    dialect: Dialect

    def snapshot(self) -> AbstractContextManager[Session]:
        """One read transaction: all that is read in it is of one moment. Raises our errors."""
        ...

    def close(self) -> None: ...


class Engine(Protocol):
    """The writer's side of a database. One call at a time, from whoever has the writer's turn."""

    base: Base
    """What is committed, as of the last `begin`; `commit` moves it on."""

    def begin(self, writes: bool, waits: bool) -> Sequence[Committed]:
        """Start a transaction and bring `base` up to date.

        From here to `commit` or `abort` nobody else commits, if `writes`. Returns what others
        committed since the last time, in their order. Unless it `waits`, a lock of somebody
        else's is a LockHeld, here or in `commit`.
        """
        ...

    def known_answers(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        """The answers that earlier transactions kept for these requests."""
        ...

    def commit(self, draft: Draft) -> None:
        """All of the draft, or nothing and an exception. After return it is on disk."""
        ...

    def abort(self) -> None:
        """End a transaction that wrote nothing, or that failed. Never raises."""
        ...

    def passes(self, error: Exception) -> bool:
        """Whether the engine can go on after this; if not, only a fresh start can."""
        ...

    @property
    def is_prompt(self) -> bool:
        """Whether the next transaction waits for one sync of this machine's disk and nothing more.
        Any thread may ask."""
        ...

    @property
    def is_reachable(self) -> bool:
        """Whether the last transaction found its database. Any thread may ask."""
        ...

    def follow(self, look: Callable[[], None]) -> None:
        """Call `look`, from any thread, whenever others may have committed something."""
        ...

    def read_connection(self) -> ReadConnection: ...

    def close(self) -> None: ...
