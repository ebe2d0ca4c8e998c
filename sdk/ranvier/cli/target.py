"""Which server the command speaks to, and where a local server keeps its things.

The client is imported when it is used: help and completion answer at once.
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import typer

if TYPE_CHECKING:
    from ranvier import AsyncRanvier, Ranvier

RETRIES: Final = 3
"""Somebody waits at the terminal: give up within seconds, not a minute."""

KEY_FILE: Final = "api-key"


def dev_default() -> Path:
    """Where `ranvier dev` keeps its state unless told otherwise."""
    return Path(os.environ.get("RANVIER_DEV_STATE") or ".ranvier")


def data_default() -> Path:
    """Where `ranvier serve` keeps its journal unless told otherwise."""
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "ranvier"


@dataclass(frozen=True, slots=True)
class Target:
    """A server as options and environment name it; None: not named."""

    base_url: str | None
    api_key: str | None

    def blocking(self) -> "Ranvier":
        """A client; raises NotConfigured."""
        from ranvier.client.blocking import Ranvier

        return Ranvier(self.base_url, self._key(), retries=RETRIES)

    def asynchronous(self) -> "AsyncRanvier":
        """The same for asyncio."""
        from ranvier.client.aio import AsyncRanvier

        return AsyncRanvier(self.base_url, self._key(), retries=RETRIES)

    def _key(self) -> str | None:
        """A local server's key is taken from its file, but sent to nowhere else."""
        if self.api_key is not None or self.base_url is not None:
            return self.api_key
        for folder in (dev_default(), data_default()):
            with suppress(OSError):
                return (folder / KEY_FILE).read_text(encoding="utf-8").strip()
        return None


def client_of(context: typer.Context) -> "Ranvier":
    """The client that a command was asked to use; raises NotConfigured."""
    target: Target = context.obj
    return target.blocking()
