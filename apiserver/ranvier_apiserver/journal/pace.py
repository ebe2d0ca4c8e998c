"""Is the disk quick enough to be waited for in the event loop? Pure: durations in, a verdict out.

A lone publish that goes to the writer's thread and back pays for two changes of thread, which cost
as much as a sync of a quick disk (measured: 0.2 ms). On a slow one, or while the disk is busy,
everybody else would wait for that sync: then the thread does it.
"""

from typing import Final

QUICK_SECONDS: Final = 0.001
"""A commit that takes longer is not quick."""

QUICK_COMMITS: Final = 32
"""So many in a row must have been quick."""


class Pace:
    """Told of every commit, by whoever did it."""

    def __init__(self) -> None:
        self._quick = 0

    def took(self, seconds: float) -> None:
        self._quick = self._quick + 1 if seconds < QUICK_SECONDS else 0

    @property
    def is_quick(self) -> bool:
        return self._quick >= QUICK_COMMITS
