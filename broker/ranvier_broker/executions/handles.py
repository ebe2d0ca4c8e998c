"""What the desk holds open for one execution, and the news of it."""

import asyncio
import contextlib
from collections import deque
from typing import Final

from ranvier_broker import fifos
from ranvier_broker.executions import frames
from ranvier_broker.executions.collector import Collector
from ranvier_broker.executions.events import Execution
from ranvier_broker.executions.shelf import Shelf

KEYS_KEPT_MAX: Final = 64
"""Writes of one execution that are known again when they are repeated."""


class News:
    """Wakes everybody who waits for something to happen to one execution."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        self._event.set()
        self._event = asyncio.Event()

    async def wait(self, seconds: float) -> None:
        """Return at the next news, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._event.wait()


class Handles:
    """What is open for one execution."""

    def __init__(self, shelf: Shelf, execution: Execution, news: News) -> None:
        name, limit = execution.execution_id, execution.output_bytes_max
        self.stdin: fifos.FifoWriter | None = None
        self.keys: deque[str] = deque(maxlen=KEYS_KEPT_MAX)
        self.outputs = {
            output: Collector(
                shelf.pipe(name, output), shelf.output(name, output), limit, news.tell
            )
            for output in frames.OUTPUTS
        }
        if execution.has_stdin and execution.is_open and not execution.input_ended:
            with contextlib.suppress(OSError, fifos.NotAPipe):
                self.stdin = fifos.FifoWriter(shelf.pipe(name, "stdin"))

    @property
    def size(self) -> int:
        return sum(output.size for output in self.outputs.values())

    def drain(self) -> int:
        """Move what lies in the pipes; return what lies in the files then."""
        for output in self.outputs.values():
            output.drain()
        return self.size

    def close(self) -> None:
        for output in self.outputs.values():
            output.close()
        self.close_stdin()

    def close_stdin(self) -> None:
        if self.stdin is not None:
            self.stdin.close()
            self.stdin = None
