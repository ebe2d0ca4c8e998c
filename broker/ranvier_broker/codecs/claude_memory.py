"""What outlives a Claude process: its session, how it was greeted, what was set; its command line.

Claude Code keeps sessions on disk and takes one up again by a flag at its start, so the id of the
session must be known before there is a process. What was said to the old process by control
requests (initialize, the model, the permission mode) is lost with it and said again to the next.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ranvier_broker.codecs.base import LaidAside
from ranvier_broker.codecs.jsonrpc import dump

REMEMBERED_CHARACTERS_MAX: Final = 60_000
"""What is kept may take as much as JSON: the journal keeps at most 256 KiB of state for a mount."""

INITIALIZE: Final = "initialize"
MODE: Final = "set_permission_mode"
_SETTINGS: Final = (MODE, "set_model", "set_max_thinking_tokens")
"""Requests whose last parameters are said again to a new process."""

_FLAGS: Final = (
    (("--print", "-p"), ()),
    (("--input-format",), ("stream-json",)),
    (("--output-format",), ("stream-json",)),
    (("--verbose",), ()),
    (("--include-partial-messages",), ()),
    (("--permission-prompt-tool",), ("stdio",)),
)
"""What makes the program speak the protocol: names of a flag, its value. Partial messages are what
makes words come as they are thought of; the last one asks for permissions on the same pipes."""

_OF_SESSIONS: Final = {"--resume": True, "--session-id": True, "--continue": False}
"""The owner's own choice of a session, and whether a value follows; it counts until there is one
to go on with."""


class Memory:
    """One mount's memory."""

    def __init__(self) -> None:
        self.session: str | None = None
        self.greeting: dict[str, Any] | None = None
        self.settings: dict[str, dict[str, Any]] = {}

    def recall(self, saved: Mapping[str, Any]) -> None:
        """Take what `snapshot` had given; pass over what this version can not read."""
        session, greeting = saved.get("session"), saved.get("greeting")
        settings = saved.get("settings")
        self.session = session if isinstance(session, str) else None
        self.greeting = greeting if isinstance(greeting, dict) else None
        made = settings if isinstance(settings, dict) else {}
        self.settings = {k: made[k] for k in _SETTINGS if isinstance(made.get(k), dict)}

    def lay_aside(self) -> LaidAside | None:
        """Forget the session; how the agent was greeted and set still holds."""
        session, self.session = self.session, None
        return LaidAside(session, self.snapshot()) if session is not None else None

    def snapshot(self) -> dict[str, Any]:
        """A value for the journal, of bounded size: the session is kept before all else."""
        if len(dump(self._everything())) > REMEMBERED_CHARACTERS_MAX:
            self.greeting, self.settings = None, {}
        return self._everything()

    def _everything(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "greeting": self.greeting,
            "settings": dict(self.settings),
        }

    def in_session(self, session: Any) -> bool:
        """The agent named its session. True if that is news."""
        if not isinstance(session, str) or session == self.session:
            return False
        self.session = session
        return True

    def accepted(self, request: dict[str, Any]) -> bool:
        """The agent accepted a client's control request. True if there is something to keep."""
        kind = request.get("subtype")
        if kind == INITIALIZE:
            news = request != self.greeting
            self.greeting = request
            return news
        if kind in _SETTINGS:
            news = request != self.settings.get(kind)
            self.settings[kind] = request
            return news
        return False

    def in_mode(self, mode: Any) -> bool:
        """The agent changed its permission mode, as after an approved plan. True if news."""
        return isinstance(mode, str) and self.accepted({"subtype": MODE, "mode": mode})

    def command(self, argv: Sequence[str]) -> list[str]:
        """The mount's command line with what the protocol and the session need."""
        made = list(argv) if self.session is None else _without_sessions(argv)
        given = {word.partition("=")[0] for word in argv}
        for names, values in _FLAGS:
            if given.isdisjoint(names):
                made += [names[0], *values]
        return made if self.session is None else [*made, "--resume", self.session]


def _without_sessions(argv: Sequence[str]) -> list[str]:
    kept: list[str] = []
    is_value = False
    for word in argv:
        name, equals, _ = word.partition("=")
        if is_value and not word.startswith("-"):
            is_value = False
        elif name in _OF_SESSIONS:
            is_value = _OF_SESSIONS[name] and not equals
        else:
            is_value = False
            kept.append(word)
    return kept
