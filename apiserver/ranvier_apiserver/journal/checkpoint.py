"""Moves committed pages from the log into the main file, on a thread and connection of its own.

The writer never checkpoints, because that is what makes a publish slow now and then (measured: p99
9 ms inline against 2 ms). An idle journal costs nothing: the thread waits until something was
written.
"""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

from ranvier_apiserver.journal import opening

EVERY_SECONDS: Final = 0.1
LOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""Under unbroken writing the log never begins anew by itself; past this size it is made to."""

log = logging.getLogger(__name__)


class Checkpointer:
    """`dirty()` after every commit; `stop()` before the writer's connection closes."""

    def __init__(self, path: Path) -> None:
        self._log_path = path.with_name(path.name + "-wal")
        self._connection = opening.checkpoint_connection(path)
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
        self._thread.start()

    def dirty(self) -> None:
        self._dirty.set()

    def stop(self) -> None:
        self._stop.set()
        self._dirty.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            self._dirty.wait()
            if self._stop.wait(EVERY_SECONDS):
                return
            self._dirty.clear()
            if self._stop.is_set():
                # What was cleared just now may have been the word to stop.
                return
            try:
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                if self._log_path.stat().st_size > LOG_BYTES_MAX:
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            except (sqlite3.Error, OSError) as error:
                # The log keeps everything until a later checkpoint succeeds.
                log.warning("checkpoint failed: %s", error)
