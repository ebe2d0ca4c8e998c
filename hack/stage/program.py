"""A program that runs for a `with` block, and whose words are read as they come."""

import re
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, Self

LINES_KEPT: Final = 200
"""Of what a program says: enough to see why it ended."""


class Program:
    """Context manager; `argv` may be made when it is entered. Ended by TERM."""

    def __init__(self, argv: Sequence[str], env: Mapping[str, str]) -> None:
        self.argv = list(argv)
        self.env = dict(env)
        self._process: subprocess.Popen[str] | None = None
        self._lines: deque[str] = deque(maxlen=LINES_KEPT)
        self._unread: deque[str] = deque(maxlen=LINES_KEPT)
        self._is_over = False
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self.argv, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def end(self) -> None:
        """TERM, and wait; more than once is no harm."""
        assert self._process
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    @property
    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    @property
    def said(self) -> str:
        """The last of its lines."""
        return "".join(self._lines)

    def until(self, pattern: str, seconds: float | None) -> re.Match[str] | None:
        """What matches in the next line that does; None when it said no such thing until its end,
        or in time."""
        with self._news:
            found: re.Match[str] | None = None

            def is_settled() -> bool:
                nonlocal found
                while found is None and self._unread:
                    found = re.search(pattern, self._unread.popleft())
                return found is not None or self._is_over

            self._news.wait_for(is_settled, seconds)
            return found

    def _read(self) -> None:
        assert self._process
        assert self._process.stdout
        with self._process.stdout:
            for line in self._process.stdout:
                self._tell(line)
        self._tell(None)

    def _tell(self, line: str | None) -> None:
        with self._news:
            if line is None:
                self._is_over = True
            else:
                self._lines.append(line)
                self._unread.append(line)
            self._news.notify_all()
