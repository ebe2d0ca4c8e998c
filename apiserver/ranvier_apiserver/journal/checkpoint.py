"""Moves committed pages from the log into the main file, so that the log is used over and over.

A thread with a connection of its own does nearly all of it: done within a commit it is what makes a
publish slow now and then (measured: p99 9 ms inline against 2 ms). An idle journal costs nothing:
the thread waits until something was written.

SQLite writes the log from its beginning again once nothing in it is left to move. Under unbroken
writing that moment never comes by itself, and each commit then makes the file longer, which costs
the disk more than writing over what is there (measured: twice the time of a small commit). So when
the log is long the writer moves the little that the thread left, between two commits.
"""

import logging
import sqlite3
import threading
from pathlib import Path
from typing import Final

from ranvier_apiserver.journal import opening

EVERY_SECONDS: Final = 0.1
LOG_PAGES_MAX: Final = 2048
"""A log of more pages (8 MiB) is to be begun anew."""

LOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""While there is always a reader in the log it can not begin anew. Past this size readers and the
writer are made to wait for that, `opening.CHECKPOINT_BUSY_MS` at most."""

ROUNDS_WITHOUT_FORCE: Final = 50
"""A reader that stays for long (a backup) makes force futile: five seconds pass between tries."""

log = logging.getLogger(__name__)


class Checkpointer:
    """`dirty()` after every commit; `stop()` before the writer's connection closes."""

    def __init__(self, path: Path) -> None:
        self._log_path = path.with_name(path.name + "-wal")
        self._connection = opening.checkpoint_connection(path)
        self._dirty = threading.Event()
        self._stop = threading.Event()
        self.is_long = False
        """Whether the writer has pages to move, see `between_commits`."""
        self._is_forcing = False
        self._rounds = ROUNDS_WITHOUT_FORCE
        """Since the last use of force."""
        self._thread = threading.Thread(target=self._run, name="journal-checkpoint", daemon=True)
        self._thread.start()

    def dirty(self) -> None:
        self._dirty.set()

    @property
    def holds_up(self) -> bool:
        """Whether the next commit pays for the log: moves pages first, or waits for force."""
        return self.is_long or self._is_forcing

    def between_commits(self, writer: sqlite3.Connection) -> None:
        """The writer's own part, right after the thread's: some milliseconds twice a second at full
        speed, else nothing. Waits for nobody."""
        if self.is_long:
            self.is_long = False
            self._move(writer)

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
            self.is_long = self._move(self._connection) > LOG_PAGES_MAX
            self._shorten()

    def _move(self, connection: sqlite3.Connection) -> int:
        """What can be moved while nobody waits; returns the pages of the log."""
        try:
            _, pages, _ = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as error:
            # The log keeps everything until a later checkpoint succeeds.
            log.warning("checkpoint failed: %s", error)
            return 0
        return int(pages)

    def _shorten(self) -> None:
        """Begin the log anew by force when it is far too long."""
        try:
            self._rounds += 1
            is_long = self._log_path.stat().st_size > LOG_BYTES_MAX
            if is_long and self._rounds > ROUNDS_WITHOUT_FORCE:
                self._rounds = 0
                self._is_forcing = True
                # What the event loop has begun to commit is done by then; more it leaves alone.
                if not self._stop.wait(EVERY_SECONDS):
                    self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except (sqlite3.Error, OSError) as error:
            log.warning("the log stays long: %s", error)
        finally:
            self._is_forcing = False
