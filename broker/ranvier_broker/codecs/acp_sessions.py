"""What a mount must remember of its ACP sessions besides their parameters: settings made in them.

What the broker learns by listening: how the agent was greeted, which sessions were opened, and what
was set in them, since a restored session has its settings from the start.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_broker.codecs.remembered import Remembered

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


class Sessions(Remembered):
    """The ACP sessions of one mount."""

    def __init__(self) -> None:
        super().__init__()
        self._settings: dict[str, dict[str, dict[str, Any]]] = {}

    def recall(self, saved: Mapping[str, Any]) -> None:
        super().recall(saved)
        settings = saved.get("settings")
        made = settings if isinstance(settings, dict) else {}
        self._settings = {k: v for k, v in made.items() if k in self._sessions}

    def _everything(self) -> dict[str, Any]:
        settings = {k: dict(v) for k, v in self._settings.items()}
        return {**super()._everything(), "settings": settings}

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

    def opened(self, session_id: str, params: Mapping[str, Any]) -> None:
        super().opened(session_id, {k: v for k, v in params.items() if k != "sessionId"})

    def forget(self, session_id: str) -> None:
        super().forget(session_id)
        self._settings.pop(session_id, None)

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
