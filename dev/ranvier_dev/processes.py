"""Starts and ends one local process, with all that it starts.

A process begins a session of its own, so a signal reaches its whole group, and it is told to end
when this program dies, however that happens.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


async def start(
    argv: Sequence[str], environment: Mapping[str, str], directory: str | None, log: Path
) -> asyncio.subprocess.Process:
    """Run it; its output goes to the end of `log`. Raises OSError when there is no such program."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return await asyncio.create_subprocess_exec(
            *argv,
            env=dict(environment),
            cwd=directory,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=_end_with_parent,
        )


async def end(process: asyncio.subprocess.Process, seconds: float) -> None:
    """TERM, and KILL for what is left of its group after so many seconds."""
    if process.returncode is None:
        process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await process.wait()
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def _end_with_parent() -> None:
    """In the child, before its program begins: nothing here may take a lock."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
