"""Collects what an execution writes: from its pipe into its file, by the kernel alone.

`splice` takes bytes out of the pipe and puts them into the file in one call. A sidecar that is
killed loses none: each byte lies in the pipe, which the run's keeper holds open, or in the file.
"""

import asyncio
import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from ranvier_broker import fifos

MOVE_BYTES: Final = 1024 * 1024
"""Moved in one go; as much as the pipe holds."""

_SPLICE_F_NONBLOCK: Final = 2


class Collector:
    """One output of one execution. What is over the limit is read and thrown away."""

    def __init__(
        self, pipe: Path, file: Path, bytes_max: int, on_moved: Callable[[], None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._file = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
        self._pipe: int | None = None
        self._bytes_max = bytes_max
        self.size = os.fstat(self._file).st_size
        self.is_cut = False
        """Whether something was thrown away."""
        self._on_moved = on_moved
        with contextlib.suppress(OSError, fifos.NotAPipe):
            self._pipe = fifos.open_pipe(pipe, os.O_RDONLY)
            self._loop.add_reader(self._pipe, self._readable)

    def read(self, offset: int, bytes_max: int) -> bytes:
        """What lies in the file from this byte on."""
        return os.pread(self._file, max(0, min(bytes_max, self.size - offset)), offset)

    def drain(self) -> None:
        """Move all that lies in the pipe."""
        while self._readable():
            pass

    def close_pipe(self) -> None:
        """Collect no more."""
        if self._pipe is not None:
            self._loop.remove_reader(self._pipe)
            os.close(self._pipe)
            self._pipe = None

    def close(self) -> None:
        """Let go of pipe and file."""
        self.close_pipe()
        os.close(self._file)

    def _readable(self) -> bool:
        """Move once. False when nothing lies there now, or nothing will any more."""
        if self._pipe is None:
            return False
        try:
            moved = self._move(self._pipe)
        except BlockingIOError:
            return False
        if not moved:
            self.close_pipe()
            return False
        self._on_moved()
        return True

    def _move(self, pipe: int) -> int:
        room = self._bytes_max - self.size
        if room <= 0:
            thrown = len(os.read(pipe, MOVE_BYTES))
            self.is_cut = self.is_cut or thrown > 0
            return thrown
        moved = _splice(pipe, self._file, min(room, MOVE_BYTES), self.size)
        self.size += moved
        return moved


def _splice(pipe: int, file: int, count: int, offset: int) -> int:
    try:
        return os.splice(pipe, file, count, offset_dst=offset, flags=_SPLICE_F_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
    # A kernel or file system without it: a kill between the two calls would lose this piece.
    return os.pwrite(file, os.read(pipe, min(count, fifos.READ_BYTES)), offset)
