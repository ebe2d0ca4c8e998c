"""What outlives a Pi process: the file of its session, and the flags that make it speak RPC.

Pi writes a session's file when the model has first answered in it; a session without an answer
leaves nothing behind that a next process could go on with.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ranvier_broker.codecs.base import LaidAside

_MODE: Final = "--mode"
_RPC: Final = "rpc"


class Memory:
    """One mount's memory."""

    def __init__(self) -> None:
        self.session: str | None = None
        """The file to go on with."""
        self._at_hand: str | None = None  # the file of the session in the process at hand

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take what `snapshot` had given; pass over what this version can not read."""
        session = saved.get("session_file")
        self.session = session if isinstance(session, str) else None

    def snapshot(self) -> dict[str, Any]:
        """A value for the journal."""
        return {"session_file": self.session}

    def lay_aside(self) -> LaidAside | None:
        """Forget the session."""
        session, self.session = self.session, None
        return LaidAside(session, self.snapshot()) if session is not None else None

    def new_process(self) -> None:
        """Nothing is known of a process that has just started."""
        self._at_hand = None

    def told(self, state: Mapping[str, Any]) -> bool:
        """The agent told its state. True if that is news to keep."""
        path = state.get("sessionFile")
        self._at_hand = path if isinstance(path, str) else None
        return bool(state.get("messageCount")) and self.answered()

    def answered(self) -> bool:
        """The model has answered, so the session is on disk. True if that is news to keep."""
        if self._at_hand is None or self._at_hand == self.session:
            return False
        self.session = self._at_hand
        return True


def command(argv: Sequence[str]) -> list[str]:
    """The mount's command line with what the protocol needs."""
    is_given = any(word.partition("=")[0] == _MODE for word in argv)
    return list(argv) if is_given else [*argv, _MODE, _RPC]
