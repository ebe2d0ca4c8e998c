"""What a mount remembers of its agent's sessions, so that the next process can go on with them.

An agent keeps its sessions on disk, but answers only for those that were opened in the process at
hand. So the broker remembers how the agent was greeted and which sessions there are, with what
parameters; that goes to the journal and comes back after a wake. Which of them live in the process
at hand is not remembered.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_broker.codecs.base import LaidAside
from ranvier_broker.codecs.jsonrpc import dump

SESSIONS_REMEMBERED_MAX: Final = 16
"""Sessions of one mount that outlive a process; the one unused for longest is forgotten first."""

REMEMBERED_CHARACTERS_MAX: Final = 60_000
"""What all of them may take as JSON: the journal keeps at most 256 KiB of state for a mount."""


class Remembered:
    """The sessions of one mount, the one used last at the end."""

    def __init__(self) -> None:
        self.greeting: Mapping[str, Any] | None = None
        """Parameters of the last `initialize` that counts."""
        self._sessions: dict[str, dict[str, Any]] = {}
        self._live: set[str] = set()
        self._is_wary = False  # after `lay_aside`: no session is taken up before it is asked for

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take what `snapshot` had given; pass over what this version can not read."""
        greeting, sessions = saved.get("initialize"), saved.get("sessions")
        self.greeting = greeting if isinstance(greeting, dict) else None
        known = sessions if isinstance(sessions, dict) else {}
        self._sessions = {k: v for k, v in known.items() if isinstance(v, dict)}
        self._is_wary = False

    def lay_aside(self) -> LaidAside | None:
        """Forget the session used last, and take up none at a start until there is a new one."""
        session = self.current
        if session is None:
            return None
        self.forget(session)
        self._is_wary = True
        return LaidAside(session, self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """A value for the journal, independent of later changes and of bounded size."""
        while len(dump(self._everything())) > REMEMBERED_CHARACTERS_MAX and self._sessions:
            self.forget(next(iter(self._sessions)))
        if len(dump(self._everything())) > REMEMBERED_CHARACTERS_MAX:
            self.greeting = None
        return self._everything()

    def _everything(self) -> dict[str, Any]:
        return {"initialize": self.greeting, "sessions": dict(self._sessions)}

    def new_process(self) -> None:
        """Nothing lives in a process that has just started."""
        self._live.clear()

    @property
    def current(self) -> str | None:
        """The session used last."""
        return next(reversed(self._sessions), None)

    @property
    def at_start(self) -> str | None:
        """The session that a new process takes up before it gets anything to do."""
        return None if self._is_wary else self.current

    def needs_restore(self, session_id: str | None) -> bool:
        """Whether the agent would not know the session, though it did in an earlier process."""
        return session_id in self._sessions and session_id not in self._live

    def opened(self, session_id: str, params: Mapping[str, Any]) -> None:
        """The agent opened or loaded the session; these parameters open it again."""
        self._sessions.pop(session_id, None)
        self._sessions[session_id] = dict(params)
        self._live.add(session_id)
        self._is_wary = False
        while len(self._sessions) > SESSIONS_REMEMBERED_MAX:
            self.forget(next(iter(self._sessions)))

    def restored(self, session_id: str) -> None:
        """The session lives in this process (or will not, whatever is tried)."""
        self._live.add(session_id)

    def used(self, session_id: str) -> bool:
        """A prompt went to the session: it is the current one now. True if that is news."""
        if session_id not in self._sessions or session_id == self.current:
            return False
        self._sessions[session_id] = self._sessions.pop(session_id)
        return True

    def forget(self, session_id: str) -> None:
        """The session is closed, deleted or lost."""
        self._sessions.pop(session_id, None)
        self._live.discard(session_id)
