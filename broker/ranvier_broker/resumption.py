"""Which session the next process of an agent takes up, when taking it up may be what kills it.

A session outlives its processes, so an agent that dies of one would die of it for ever. After a few
such exits in a row one process is started without it. If that one works, the session was at fault
and is given up, and the axon says so; if it dies as well, the session is innocent and kept. The
tries themselves are paced by `restarts`.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_broker.codecs.base import Codec, LaidAside

FAILED_RESUMES_MAX: Final = 3
"""Exits in a row before the agent was ready, after which it is started without its session."""


class Resumption:
    """The account of one mount's agent."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._saved: Mapping[str, Any] = {}
        self._failed = 0
        self._aside: LaidAside | None = None

    def saved(self, state: Mapping[str, Any]) -> None:
        """What the journal keeps for the next process is this now."""
        self._saved = state

    def ready(self) -> None:
        """The process at hand takes messages."""
        self._failed = 0

    def works(self) -> LaidAside | None:
        """The process at hand has done something: what was laid aside for it is lost, once."""
        aside, self._aside = self._aside, None
        return aside

    def exited(self, status: int, *, was_ready: bool) -> str | None:
        """The process is gone: decide for the next one; return what people should know of that."""
        if self._aside is not None:
            session, self._aside = self._aside.session, None
            self._codec.recall(self._saved)
            return (
                f"the agent ended with status {status} without the session {session} too; "
                "the session is kept and taken up again"
            )
        self._failed = 0 if was_ready else self._failed + 1
        if self._failed < FAILED_RESUMES_MAX:
            return None
        self._failed = 0
        self._aside = self._codec.lay_aside()
        if self._aside is None:
            return None
        return (
            f"the agent ended {FAILED_RESUMES_MAX} times in a row, last with status {status}, "
            f"when it was to take up the session {self._aside.session}; it is started once "
            "without it, to see which of them is at fault"
        )


def lost(aside: LaidAside) -> str:
    """For people: the session is given up."""
    return (
        f"the agent works, but not with the session {aside.session}: it goes on without that "
        "conversation's memory, whose files stay where the agent keeps them"
    )
