"""Is the disk quick enough to be waited for in the event loop? Pure: durations in, a verdict out.

What goes to the writer's thread and back pays for changes of thread and for turns at the
interpreter: together as much as the sync of a quick disk. On a slow one, or while the disk is busy,
everybody else would wait for that sync in vain: then the thread does it, and after a while the loop
tries again.
"""

from typing import Final

QUICK_SECONDS: Final = 0.001
"""So long the loop may wait for the disk in a commit, on average. A single one may take longer:
now and then a checkpoint is in its way."""

COMMITS_AVERAGED: Final = 16

REST_COMMITS: Final = 32
REST_COMMITS_MAX: Final = 4096
"""When it waited longer the thread does so many commits; twice as many if the next try fails."""


class Pace:
    """Told of every commit, by whoever did it."""

    def __init__(self) -> None:
        self._average = 0.0
        self._rest = REST_COMMITS
        self._left = REST_COMMITS

    def waited(self, seconds: float) -> None:
        """The loop did a commit, and waited so long for the disk."""
        self._average += (seconds - self._average) / COMMITS_AVERAGED
        if self._average > QUICK_SECONDS:
            self._average = QUICK_SECONDS / 2
            self._left = self._rest
            self._rest = min(2 * self._rest, REST_COMMITS_MAX)
        else:
            self._rest = max(self._rest - 1, REST_COMMITS)

    def rested(self) -> None:
        """The thread did a commit."""
        self._left -= 1

    @property
    def is_quick(self) -> bool:
        return self._left <= 0
