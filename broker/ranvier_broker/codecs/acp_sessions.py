"""What a mount must remember of its ACP sessions, so that the next process can go on with them.

An agent keeps its sessions on disk, but answers only for those that were restored in the process at
hand. This module holds what the broker learnt by listening: how the agent was greeted, which
sessions there are, with what parameters and settings; and which of them live in this process. The
remembered part goes to the journal and comes back after a wake.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_broker.codecs.jsonrpc import dump

SESSIONS_REMEMBERED_MAX: Final = 16
"""Sessions of one mount that outlive a process; the one unused for longest is forgotten first."""

REMEMBERED_CHARACTERS_MAX: Final = 60_000
"""What all of them may take as JSON: the journal keeps at most 256 KiB of state for a mount."""

_SETTING_METHODS: Final = {
    "session/set_mode": None,
    "session/set_model": None,
    "session/set_config_option": "configId",
}
"""Methods whose last parameters are sent again after a restore; one a value of the named member."""


_FILE_METHODS: Final = {
    "fs/read_text_file": "readTextFile",
    "fs/write_text_file": "writeTextFile",
}


class Sessions:
    """The sessions of one mount, the one used last at the end."""

    def __init__(self) -> None:
        self.greeting: Mapping[str, Any] | None = None
        """Parameters of the last `initialize` that the agent accepted."""
        self._sessions: dict[str, dict[str, Any]] = {}
        self._settings: dict[str, dict[str, dict[str, Any]]] = {}
        self._live: set[str] = set()

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take what `snapshot` had given; pass over what this version can not read."""
        greeting, sessions = saved.get("initialize"), saved.get("sessions")
        settings = saved.get("settings")
        self.greeting = greeting if isinstance(greeting, dict) else None
        if isinstance(sessions, dict):
            self._sessions = {k: v for k, v in sessions.items() if isinstance(v, dict)}
        if isinstance(settings, dict):
            self._settings = {k: v for k, v in settings.items() if k in self._sessions}

    def snapshot(self) -> dict[str, Any]:
        """A value for the journal, independent of later changes and of bounded size."""
        while len(dump(self._everything())) > REMEMBERED_CHARACTERS_MAX and self._sessions:
            self.forget(next(iter(self._sessions)))
        if len(dump(self._everything())) > REMEMBERED_CHARACTERS_MAX:
            self.greeting = None
        return self._everything()

    def _everything(self) -> dict[str, Any]:
        return {
            "initialize": self.greeting,
            "sessions": dict(self._sessions),
            "settings": {k: dict(v) for k, v in self._settings.items()},
        }

    def new_process(self) -> None:
        """Nothing lives in a process that has just started."""
        self._live.clear()

    @property
    def current(self) -> str | None:
        """The session used last."""
        return next(reversed(self._sessions), None)

    def parameters(self, session_id: str) -> dict[str, Any]:
        """What the session is restored with."""
        return {"sessionId": session_id, **self._sessions[session_id]}

    def settings(self, session_id: str) -> list[tuple[str, dict[str, Any]]]:
        """Method and parameters of each setting made in the session."""
        made = self._settings.get(session_id, {})
        return [(key.partition("#")[0], params) for key, params in made.items()]

    def client_can(self, method: str) -> bool:
        """Whether the client that greeted the agent said that it serves this method."""
        named = self.greeting.get("clientCapabilities") if self.greeting is not None else None
        offered: dict[str, Any] = named if isinstance(named, dict) else {}
        if method.startswith("terminal/"):
            return bool(offered.get("terminal"))
        if method not in _FILE_METHODS:
            return True
        files = offered.get("fs")
        return isinstance(files, dict) and bool(files.get(_FILE_METHODS[method]))

    def needs_restore(self, session_id: str | None) -> bool:
        """Whether the agent would not know the session, though it did in an earlier process."""
        return session_id in self._sessions and session_id not in self._live

    def opened(self, session_id: str, params: Mapping[str, Any]) -> None:
        """The agent opened or loaded the session with these parameters."""
        self._sessions.pop(session_id, None)
        self._sessions[session_id] = {k: v for k, v in params.items() if k != "sessionId"}
        self._live.add(session_id)
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
        self._settings.pop(session_id, None)
        self._live.discard(session_id)

    def answered(self, method: str, params: Any, result: Any) -> bool:
        """A client's request succeeded: learn from it. True if there is something new to keep."""
        params = params if isinstance(params, dict) else {}
        named = params.get("sessionId")
        if method == "initialize":
            self.greeting = params
        elif method in ("session/new", "session/fork"):
            made = result.get("sessionId") if isinstance(result, dict) else None
            if not isinstance(made, str):
                return False
            self.opened(made, params)
        elif not isinstance(named, str):
            return False
        elif method in ("session/load", "session/resume"):
            self.opened(named, params)
        elif method in ("session/close", "session/delete"):
            self.forget(named)
        elif method in _SETTING_METHODS:
            return self._set(named, method, params)
        else:
            return False
        return True

    def mode_changed(self, session_id: str, mode: str) -> bool:
        """The agent itself went to another mode, as after an approved plan."""
        return self._set(session_id, "session/set_mode", {"sessionId": session_id, "modeId": mode})

    def _set(self, session_id: str, method: str, params: dict[str, Any]) -> bool:
        if session_id not in self._sessions:
            return False
        distinguished_by = _SETTING_METHODS[method]
        key = f"{method}#{params.get(distinguished_by)}" if distinguished_by else method
        made = self._settings.setdefault(session_id, {})
        news = made.get(key) != params
        made[key] = params
        return news
