"""What the shell needs of a journal: the seam between it and HTTP, or a test's fake."""

from collections.abc import AsyncIterator
from typing import Protocol

from ranvier.events import AxonEvent

from ranvier_broker import commands
from ranvier_broker.events import Appended, Attached


class Lost(Exception):
    """The mount belongs to another broker, or to none any more."""


class Refused(Exception):
    """The journal will never take this; the broker's picture of its mount is wrong."""


class Journal(Protocol):
    """What the shell needs of a journal."""

    async def attach(self, index: int) -> Attached:
        """Take the mount. Raises Lost."""

    async def append(self, index: int, append: commands.Append) -> Appended:
        """Write one batch, exactly once. Raises Lost, Refused."""

    def subscribe(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        """Users' and external events after the sequence, without end."""

    def close(self) -> None:
        """Let go of connections."""
