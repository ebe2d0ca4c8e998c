"""When an agent that exited is started again, and when it is given up.

Restarts come at growing distance and only so many within a window; a turn that ended well shows
that the agent works and clears the account. An agent that was given up is tried again when an event
arrives after the pause, so that a devbox heals when its cause went away.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

RESTARTS_MAX: Final = 5
"""Restarts within the window; an agent that fails more often has a lasting reason."""

WINDOW_MS: Final = 300_000
FIRST_DELAY_MS: Final = 200
DELAY_MS_MAX: Final = 10_000
PAUSE_MS: Final = 60_000
"""How long an agent that was given up is left alone."""

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
"""A shell's exit statuses for a command that it could not run."""


@dataclass(frozen=True, slots=True)
class RestartAt:
    """Start the agent again at this moment."""

    at_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Do not start it again before the pause is over. `is_missing`: it never ran at all."""

    why: str
    is_missing: bool


class Restarts:
    """The account of one mount's agent."""

    def __init__(self) -> None:
        self._exits: deque[int] = deque()

    def exited(self, status: int, *, has_spoken: bool, now_ms: int) -> RestartAt | GiveUp:
        """The agent exited: decide what follows."""
        if status in (NOT_EXECUTABLE, NOT_FOUND) and not has_spoken:
            what = "not found" if status == NOT_FOUND else "not executable"
            return GiveUp(f"the agent could not be started: {what} (status {status})", True)
        while self._exits and self._exits[0] <= now_ms - WINDOW_MS:
            self._exits.popleft()
        self._exits.append(now_ms)
        tries = len(self._exits)
        if tries > RESTARTS_MAX:
            minutes = WINDOW_MS // 60_000
            why = f"the agent exited {tries} times within {minutes} minutes, last with status"
            next_step = f"agent.log has its last words; an event in {PAUSE_MS // 1000} s or later"
            return GiveUp(f"{why} {status}; {next_step} starts it again", False)
        return RestartAt(now_ms + min(FIRST_DELAY_MS * 2 ** (tries - 1), DELAY_MS_MAX))

    def works(self) -> None:
        """A turn ended by itself: the agent works."""
        self._exits.clear()

    def try_anew(self) -> None:
        """The pause is over: the agent gets a fresh account."""
        self._exits.clear()
