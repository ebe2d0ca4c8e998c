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
URL_FILE: Final = "api-url"
"""Beside the key: where the server listens, or listened last."""


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

        return Ranvier(*self._named(), retries=RETRIES)

    def asynchronous(self) -> "AsyncRanvier":
        """The same for asyncio."""
        from ranvier.client.aio import AsyncRanvier

        return AsyncRanvier(*self._named(), retries=RETRIES)

    def _named(self) -> tuple[str | None, str | None]:
        """Address and key. A local server's key is taken from its file, but sent to nowhere
        else."""
        if self.api_key is not None or self.base_url is not None:
            return self.base_url, self.api_key
        for folder in (dev_default(), data_default()):
            if (key := _word(folder / KEY_FILE)) is not None:
                return _word(folder / URL_FILE), key
        from ranvier.client.errors import NotConfigured

        raise NotConfigured(
            "There is no server here: neither `ranvier dev` was started in this folder, nor "
            "`ranvier serve` on this machine.",
            "Start one of them, or set RANVIER_BASE_URL and RANVIER_API_KEY.",
        )


def _word(path: Path) -> str | None:
    with suppress(OSError):
        return path.read_text(encoding="utf-8").strip() or None
    return None


def client_of(context: typer.Context) -> "Ranvier":
    """The client that a command was asked to use; raises NotConfigured."""
    target: Target = context.obj
    return target.blocking()
