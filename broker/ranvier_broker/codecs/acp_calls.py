"""Our requests to an ACP agent that it has not answered yet: one id space, one deadline each.

A call carries what it was made for, so that its answer finds the right reader.
"""

from dataclasses import dataclass
from typing import Final

from ranvier_broker.codecs import jsonrpc

ANSWER_MS_MAX: Final = 120_000
"""How long the agent may take to answer anything but a prompt; the published SDK waits as long."""


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
        self._open: dict[int, tuple[Purpose, int | None]] = {}

    @property
    def wake_at_ms(self) -> int | None:
        """When the first answer is overdue."""
        return min((due for _, due in self._open.values() if due is not None), default=None)

    def make(self, method: str, params: str, purpose: Purpose, now_ms: int) -> bytes:
        """The bytes of a new request. A prompt may take as long as it takes."""
        self._number += 1
        due = None if isinstance(purpose, Prompting) else now_ms + self._answer_ms_max
        self._open[self._number] = purpose, due
        return jsonrpc.request(self._number, method, params)

    def answered(self, number: int | None) -> Purpose | None:
        """What the call with this id was for, once."""
        purpose, _ = self._open.pop(number, (None, None)) if number is not None else (None, None)
        return purpose

    def overdue(self, now_ms: int) -> list[Purpose]:
        """Give up the calls whose time is over."""
        late = [n for n, (_, due) in self._open.items() if due is not None and due <= now_ms]
        return [self._open.pop(number)[0] for number in late]

    def give_up(self) -> list[Purpose]:
        """The agent is gone: give up all."""
        calls = [purpose for purpose, _ in self._open.values()]
        self._open.clear()
        return calls
