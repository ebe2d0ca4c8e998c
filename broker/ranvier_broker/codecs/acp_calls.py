"""Our requests to an ACP agent that it has not answered yet: one id space, one deadline each.

A call carries what it was made for, so that its answer finds the right reader.
"""

from dataclasses import dataclass

from ranvier_broker.codecs import jsonrpc
from ranvier_broker.codecs.waiting import ANSWER_MS_MAX, Waiting


@dataclass(frozen=True, slots=True)
class Passing:
    """A client's request, passed on as it came; `sequence` is its place on the axon."""

    sequence: int
    method: str
    params: jsonrpc.Raw


@dataclass(frozen=True, slots=True)
class Prompting:
    """The prompt of the open turn."""


@dataclass(frozen=True, slots=True)
class Greeting:
    """Our own `initialize`: for a turn that nobody prepared, or (None) to restore sessions."""

    turn_id: str | None


@dataclass(frozen=True, slots=True)
class Opening:
    """Our own `session/new`, for a turn that nobody prepared."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Restoring:
    """Our own `session/resume` or `session/load`; `at_start`: the agent is ready after it."""

    session_id: str
    method: str
    at_start: bool


@dataclass(frozen=True, slots=True)
class Resetting:
    """A setting made once more after a restore; how it goes matters to nobody."""


Purpose = Passing | Prompting | Greeting | Opening | Restoring | Resetting


class Calls:
    """The calls of one mount; ids go on over its processes, so a late answer meets no stranger."""

    def __init__(self, answer_ms_max: int = ANSWER_MS_MAX) -> None:
        self._answer_ms_max = answer_ms_max
        self._number = 0
        self.waiting: Waiting[int, Purpose] = Waiting()

    def make(self, method: str, params: str, purpose: Purpose, now_ms: int) -> bytes:
        """The bytes of a new request. A prompt may take as long as it takes."""
        self._number += 1
        due = None if isinstance(purpose, Prompting) else now_ms + self._answer_ms_max
        self.waiting.ask(self._number, purpose, due)
        return jsonrpc.request(self._number, method, params)

    def answered(self, number: int | None) -> Purpose | None:
        """What the call with this id was for, once."""
        return self.waiting.answered(number) if number is not None else None
