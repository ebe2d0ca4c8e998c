"""Requests to an agent that wait for their answer: what each was made for, and its deadline."""

from typing import Final, Generic, TypeVar

ANSWER_MS_MAX: Final = 120_000
"""How long an agent may take to answer anything but a prompt; the published SDKs wait as long."""

Id = TypeVar("Id")
Purpose = TypeVar("Purpose")


class Waiting(Generic[Id, Purpose]):
    """Open requests by their ids."""

    def __init__(self) -> None:
        self._open: dict[Id, tuple[Purpose, int | None]] = {}

    @property
    def wake_at_ms(self) -> int | None:
        """When the first answer is overdue."""
        return min((due for _, due in self._open.values() if due is not None), default=None)

    def ask(self, request_id: Id, purpose: Purpose, due_ms: int | None) -> Purpose | None:
        """A request was sent. Gives back the purpose of an open one with the same id: the answer
        will be taken for the new one's."""
        replaced = self.answered(request_id)
        self._open[request_id] = purpose, due_ms
        return replaced

    def answered(self, request_id: Id) -> Purpose | None:
        """What the request with this id was for, once; None if there is none."""
        purpose, _ = self._open.pop(request_id, (None, None))
        return purpose

    def overdue(self, now_ms: int) -> list[Purpose]:
        """Give up the requests whose time is over."""
        late = [key for key, (_, due) in self._open.items() if due is not None and due <= now_ms]
        return [self._open.pop(key)[0] for key in late]

    def give_up(self) -> list[Purpose]:
        """The agent is gone: give up all."""
        purposes = [purpose for purpose, _ in self._open.values()]
        self._open.clear()
        return purposes
