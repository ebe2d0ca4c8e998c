"""What a mount remembers of its Codex threads, and how much of the model's tokens each has used.

A thread is opened again by `thread/resume`, which takes most of what `thread/start` took. Settings
that came with a turn hold for the turns after it, so they are remembered as well.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_broker.codecs.codex_frames import text_in
from ranvier_broker.codecs.remembered import Remembered

_RESUMABLE: Final = frozenset(
    {
        "approvalPolicy",
        "approvalsReviewer",
        "baseInstructions",
        "config",
        "cwd",
        "developerInstructions",
        "model",
        "modelProvider",
        "personality",
        "sandbox",
        "serviceTier",
    }
)
"""Parameters that `thread/resume` takes besides the id."""

_LASTING: Final = _RESUMABLE - {"config"}
"""Parameters of `turn/start` that hold for later turns too."""


class Threads(Remembered):
    """The threads of one mount."""

    def parameters(self, thread_id: str) -> dict[str, Any]:
        """What the thread is resumed with; its history is not told again."""
        return {**self._sessions[thread_id], "threadId": thread_id, "excludeTurns": True}

    def answered(self, method: str, params: Mapping[str, Any], result: Any) -> bool:
        """A client's request succeeded: learn from it. True if there is something new to keep."""
        named = text_in(params, "threadId")
        if method == "initialize":
            news = self.greeting != params
            self.greeting = dict(params)
            return news
        if method in ("thread/start", "thread/fork"):
            made = text_in(result, "thread", "id")
            if made is None or params.get("ephemeral"):
                return False  # an ephemeral thread ends with its process
            self.opened(made, _kept(params, _RESUMABLE))
        elif named is None:
            return False
        elif method == "thread/resume":
            known = self._sessions.get(named, {})
            self.opened(named, {**known, **_kept(params, _RESUMABLE)})
        elif method in ("thread/archive", "thread/delete"):
            self.forget(named)
        elif method == "turn/start":
            return self._set(named, _kept(params, _LASTING))
        else:
            return False
        return True

    def _set(self, thread_id: str, made: dict[str, Any]) -> bool:
        known = self._sessions.get(thread_id)
        if known is None or made.items() <= known.items():
            return False
        self._sessions[thread_id] = {**known, **made}
        return True


def _kept(params: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {k: v for k, v in params.items() if k in names and v is not None}


class TokenAccount:
    """Tokens that each thread has used, as `thread/tokenUsage/updated` tells them: a running total,
    and what the last request to the model added to it."""

    def __init__(self) -> None:
        self._totals: dict[str, dict[str, int]] = {}
        self._before: dict[str, int] | None = None
        self._thread_id: str | None = None
        self._has_news = False

    def open(self, thread_id: str | None) -> None:
        """A turn begins on the thread."""
        self._thread_id, self._has_news = thread_id, False
        self._before = self._totals.get(thread_id) if thread_id is not None else None

    def updated(self, params: Any, turn: str | None) -> None:
        """Take a `thread/tokenUsage/updated`; `turn` is the open one, in the agent's words."""
        thread_id = text_in(params, "threadId")
        usage = params.get("tokenUsage") if isinstance(params, dict) else None
        if thread_id is None or not isinstance(usage, dict):
            return
        total, last = _counts(usage.get("total")), _counts(usage.get("last"))
        if thread_id == self._thread_id and turn != text_in(params, "turnId"):
            self._before = total  # the account of an earlier turn, told again after a resumption
        elif thread_id == self._thread_id:
            self._has_news = True
            if self._before is None:  # never heard of: all that came before the first request
                self._before = {name: n - last.get(name, 0) for name, n in total.items()}
        self._totals.pop(thread_id, None)
        self._totals[thread_id] = total
        while len(self._totals) > THREADS_COUNTED_MAX:
            del self._totals[next(iter(self._totals))]

    def close(self) -> dict[str, int] | None:
        """What the turn used; None if the agent did not tell."""
        total = self._totals.get(self._thread_id or "")
        if not self._has_news or total is None:
            return None
        before = self._before or {}
        return {name: max(n - before.get(name, 0), 0) for name, n in total.items()}


THREADS_COUNTED_MAX: Final = 256
"""Threads whose totals are held; an agent with helpers tells of theirs too."""


def _counts(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        return {}
    return {name: n for name, n in value.items() if type(n) is int}
