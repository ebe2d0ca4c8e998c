"""Does the journal commit? Whoever commits tells, whoever asks about readiness is answered.

A failed commit that may pass (a full disk, a lock that somebody holds) is over with the next one
that succeeds. A commit that takes longer than any disk should is a failure while it lasts.
"""

from collections.abc import Callable
from typing import Final

STUCK_SECONDS: Final = 10.0
"""Nobody publishes through a disk whose sync takes so long; clients give up after 30 s."""


class Pulse:
    """Plain attributes, written by whoever has the writer's turn: no lock is needed."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began: float | None = None
        self._failed = False

    def begin(self) -> None:
        self._began = self._now()

    def end(self, committed: bool | None) -> None:
        """Whether the batch was committed; None when there was nothing to commit."""
        self._began = None
        if committed is not None:
            self._failed = not committed

    @property
    def is_felt(self) -> bool:
        began = self._began
        return not self._failed and (began is None or self._now() - began < STUCK_SECONDS)
