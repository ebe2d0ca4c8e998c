"""Named pipes on the event loop: bytes in with a hold, bytes out with a backlog, never blocking.

Both ends open at once, whether or not the other side is there yet. A path that is no named pipe is
refused: the folder is shared with the agent's container, which must not lead us elsewhere.
"""

import asyncio
import contextlib
import fcntl
import os
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

PIPE_BYTES: Final = 1024 * 1024
"""Asked of the kernel for each pipe: fewer switches for large messages. Less will do."""

READ_BYTES: Final = 256 * 1024
_F_SETPIPE_SZ: Final = 1031


class NotAPipe(Exception):
    """Something else lies where a named pipe should be."""


def make(path: Path) -> None:
    """Make a named pipe for owner and group, unless it is there: a reader may hold it open."""
    if path.is_symlink() or (path.exists() and not path.is_fifo()):
        path.unlink()
    if not path.exists():
        os.mkfifo(path)
    path.chmod(0o660)


def has_reader(path: Path) -> bool:
    """Whether anybody holds the pipe open for reading (do not hold it yourself)."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW))
    except OSError:
        return False
    return True


def open_pipe(path: Path, flags: int) -> int:
    """Open without waiting. Raises NotAPipe, OSError."""
    fd = os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
    if not stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise NotAPipe(str(path))
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, PIPE_BYTES)
    return fd


class FifoReader:
    """Hands over what is written to the pipe. `is_endless` keeps it open without writers."""

    def __init__(
        self, path: Path, on_data: Callable[[bytes], None], *, is_endless: bool = False
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_data = on_data
        self._fd: int | None = open_pipe(path, os.O_RDWR if is_endless else os.O_RDONLY)
        self._loop.add_reader(self._fd, self._readable)

    def hold(self) -> None:
        """Read no more for now."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)

    def release(self) -> None:
        """Read again."""
        if self._fd is not None:
            self._loop.add_reader(self._fd, self._readable)

    def drain(self) -> bool:
        """Hand over all that lies in the pipe. False if a writer still holds it open."""
        while self._fd is not None:
            if not self._readable():
                return self._fd is None
        return True

    def close(self) -> None:
        """Read nothing more."""
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None

    def _readable(self) -> bool:
        """Read once. False when there is nothing to read, or nothing will come any more."""
        if self._fd is None:
            return False
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        self._on_data(data)
        return True


class FifoWriter:
    """Writes to the pipe what fits and keeps the rest, in order.

    It holds a reading end too, so that opening never waits and a reader that comes again finds
    what was written meanwhile.
    """

    def __init__(self, path: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd: int | None = open_pipe(path, os.O_RDWR)
        self._waiting: deque[memoryview] = deque()
        self._moved = asyncio.Event()
        self.backlog = 0
        """Bytes that did not fit yet."""

    async def has_room(self, backlog_max: int, seconds_max: float) -> bool:
        """Wait until the backlog is no larger than this; False if it did not move for so long."""
        while self.backlog > backlog_max:
            self._moved.clear()
            try:
                async with asyncio.timeout(seconds_max):
                    await self._moved.wait()
            except TimeoutError:
                return False
        return True

    def write(self, data: bytes) -> None:
        """Write now or as soon as there is room."""
        if self._fd is None:
            return
        self._waiting.append(memoryview(data))
        self.backlog += len(data)
        if len(self._waiting) == 1:
            self._flush()

    def close(self) -> None:
        """Write nothing more: the reader sees the end after what lies in the pipe."""
        if self._fd is not None:
            self._loop.remove_writer(self._fd)
            os.close(self._fd)
            self._fd = None
        self._waiting.clear()
        self.backlog = 0
        self._moved.set()

    def _flush(self) -> None:
        if self._fd is None:
            return
        self._loop.remove_writer(self._fd)
        while self._waiting:
            try:
                written = os.write(self._fd, self._waiting[0])
            except BlockingIOError:
                self._loop.add_writer(self._fd, self._flush)
                return
            self.backlog -= written
            self._moved.set()
            rest = self._waiting[0][written:]
            if rest:
                self._waiting[0] = rest
            else:
                self._waiting.popleft()
