"""Lines that say what is being done and how long it takes.

Written to stderr, so that commands whose answer is their stdout (`kubeconfig`, `env`) stay usable
in scripts. A step that takes long says so while it runs; one that is quick prints a single line.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

# First sign of life after this long, then at growing distance: enough to see it lives, not enough
# to flood a CI log.
FIRST_SIGN_SECONDS = 3.0
SIGN_SECONDS_MAX = 60.0


class Progress:
    """Prints steps. One object per command."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._started = time.monotonic()

    def note(self, text: str) -> None:
        """Something worth knowing that took no time."""
        self._line("", text)

    def cached(self, what: str) -> None:
        self._line("cached", what)

    def done(self, text: str) -> None:
        """Last line of a command, with the time of all of it."""
        self._line(f"{time.monotonic() - self._started:.1f} s", text)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Time a step; while it runs, say every now and then that it still does."""
        began = time.monotonic()
        ended = threading.Event()
        watcher = threading.Thread(
            target=self._signs_of_life, args=(what, began, ended), daemon=True
        )
        watcher.start()
        try:
            yield
        except BaseException:
            self._line(f"{time.monotonic() - began:.1f} s", f"{what}: FAILED")
            raise
        else:
            self._line(f"{time.monotonic() - began:.1f} s", what)
        finally:
            ended.set()
            watcher.join()

    def _signs_of_life(self, what: str, began: float, ended: threading.Event) -> None:
        wait = FIRST_SIGN_SECONDS
        while not ended.wait(wait):
            self._line("", f"{what} … {time.monotonic() - began:.0f} s")
            wait = min(wait * 2, SIGN_SECONDS_MAX)

    def _line(self, left: str, text: str) -> None:
        print(f"{left:>9}  {text}", file=self._stream, flush=True)
