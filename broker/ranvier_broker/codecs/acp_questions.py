"""The open requests of an ACP agent to its client: permissions, files, terminals, forms.

On the axon a question carries no id, and an answer names only its method. So of each method one
question at a time is shown; the next of that method follows when it is answered. Otherwise two
answers in the wrong order would give the agent the wrong file, or permission for the wrong tool.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ranvier_broker.codecs.base import Asked
from ranvier_broker.codecs.jsonrpc import Request

PERMISSION: Final = "session/request_permission"
_KNOWN: Final = frozenset({PERMISSION, "session/elicitation", "elicitation/create"})
_KNOWN_PREFIXES: Final = ("fs/", "terminal/")


@dataclass(frozen=True, slots=True)
class Question:
    """A request that the agent waits for; `request_id` is the raw text of its id."""

    number: int
    request_id: str
    method: str
    session_id: str | None
    payload: str

    @property
    def asked(self) -> Asked:
        """The question as the axon shows it."""
        return Asked(self.number, self.method, self.payload)


class Questions:
    """All that the agent has asked and nobody has answered."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[Question]] = {}
        self._methods: set[str] = set()
        self._number = 0

    def __bool__(self) -> bool:
        return any(self._waiting.values())

    def is_answer(self, event_type: str) -> bool:
        """Whether a user's event of this type can only be an answer."""
        known = event_type in _KNOWN or event_type.startswith(_KNOWN_PREFIXES)
        return known or event_type in self._methods

    def ask(self, request: Request) -> list[Asked]:
        """Take a question; it is shown at once unless another of its method is open."""
        self._number += 1
        self._methods.add(request.method)
        question = Question(
            self._number,
            request.id,
            request.method,
            session_of(request.params.value),
            request.params.text,
        )
        queue = self._waiting.setdefault(request.method, deque())
        queue.append(question)
        return [question.asked] if len(queue) == 1 else []

    def shown(self, method: str) -> int | None:
        """The number of the method's question that is open on the axon."""
        queue = self._waiting.get(method)
        return queue[0].number if queue else None

    def close(self, number: int) -> tuple[Question | None, list[Asked]]:
        """Take out a question; give it back with the one that is shown instead."""
        closed, shown = self._close_where(lambda question: question.number == number)
        return (closed[0] if closed else None), shown

    def withdraw(self, request_id: str) -> tuple[list[Question], list[Asked]]:
        """The agent takes a question back."""
        return self._close_where(lambda question: question.request_id == request_id)

    def close_session(
        self, session_id: str | None, method: str | None = None
    ) -> tuple[list[Question], list[Asked]]:
        """Take out what was asked in a session (of one method)."""
        return self._close_where(
            lambda question: question.session_id == session_id and method in (None, question.method)
        )

    def clear(self) -> None:
        """The agent is gone and waits no more."""
        self._waiting.clear()

    def _close_where(
        self, is_meant: Callable[[Question], bool]
    ) -> tuple[list[Question], list[Asked]]:
        closed: list[Question] = []
        shown: list[Asked] = []
        for method, queue in list(self._waiting.items()):
            gone = [question for question in queue if is_meant(question)]
            if not gone:
                continue
            left = deque(question for question in queue if not is_meant(question))
            if left and left[0] is not queue[0]:
                shown.append(left[0].asked)
            self._waiting[method] = left
            closed.extend(gone)
        return closed, shown


def session_of(params: Any) -> str | None:
    """The session that a message names."""
    session_id = params.get("sessionId") if isinstance(params, dict) else None
    return session_id if isinstance(session_id, str) else None
