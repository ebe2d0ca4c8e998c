"""Writes the audit trail, on a thread of its own: nobody who publishes waits for a log's reader.

Lines wait in a bounded queue. When whoever reads them is slower than the writes, or the file can
not be written, the queue fills and further lines are dropped and counted; the trail itself says
where they are missing. A process that is killed loses the lines of its last `FLUSH_SECONDS`.
"""

import contextlib
import logging
import os
import sys
import threading
from collections import deque
from pathlib import Path
from typing import Final

from ranvier_apiserver import audit
from ranvier_apiserver.audit import Entry
from ranvier_apiserver.clock import Clock

LINES_MAX: Final = 65_536
"""Entries that may wait: seconds of the highest rate, some 50 MB."""

FLUSH_SECONDS: Final = 0.05
"""Lines are written together: one at a time they cost the event loop the interpreter."""

WRITE_BYTES_MAX: Final = 4096
"""One write to a pipe of up to this size (PIPE_BUF) is never mixed with another's."""

STOP_SECONDS: Final = 2.0
"""How long a stop waits for the last lines, should their reader be stuck."""

log = logging.getLogger(__name__)


class AuditLog:
    """`tell` in the event loop; the rest is its thread's. `path` None is standard error."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor = _open(path)
        self._waiting: deque[Entry] = deque()
        self._losing = threading.Lock()
        self._unsaid = 0
        self._is_torn = False
        self.lost = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-log", daemon=True)
        self._thread.start()

    def tell(self, told: Entry) -> None:
        if len(self._waiting) < LINES_MAX:
            self._waiting.append(told)
        else:
            self._lose(1)

    def close(self) -> None:
        """Write what waits, within `STOP_SECONDS`."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            log.warning("the audit log is stuck; %d lines are lost", len(self._waiting))
        elif self._path is not None:
            os.close(self._descriptor)

    # --- the thread

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopping.wait(FLUSH_SECONDS)
            if not self._waiting and not self._unsaid:
                continue
            try:
                self._follow_the_name()
                self._flush()
            except OSError as error:
                log.error("the audit log can not be written: %s", error)

    def _flush(self) -> None:
        while self._waiting or self._unsaid:
            if missing := self._unsaid:
                self._write(audit.lost(missing, self._clock()))
                with self._losing:
                    self._unsaid -= missing
            chunk, count = self._take()
            try:
                self._write(chunk)
            except OSError:
                self._lose(count)
                raise

    def _take(self) -> tuple[bytes, int]:
        """Whole lines, as many as one write takes."""
        lines: list[bytes] = []
        size = 0
        while self._waiting:
            new = audit.line(self._waiting[0])
            if lines and size + len(new) > WRITE_BYTES_MAX:
                break
            lines.append(new)
            size += len(new)
            self._waiting.popleft()
        return b"".join(lines), len(lines)

    def _write(self, chunk: bytes) -> None:
        """All of it, or an error; a line that was torn then is ended before the next one."""
        left = b"\n" + chunk if self._is_torn else chunk
        self._is_torn = True
        while left:
            left = left[os.write(self._descriptor, left) :]
        self._is_torn = False

    def _lose(self, count: int) -> None:
        with self._losing:
            self._unsaid += count
            self.lost += count

    def _follow_the_name(self) -> None:
        """Who rotates the file renames it; from then on the name is a new one."""
        if self._path is None:
            return
        with contextlib.suppress(FileNotFoundError):
            named, held = self._path.stat(), os.fstat(self._descriptor)
            if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino):
                return
        old, self._descriptor = self._descriptor, _open(self._path)
        os.close(old)


def _open(path: Path | None) -> int:
    if path is None:
        return sys.stderr.fileno()
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
