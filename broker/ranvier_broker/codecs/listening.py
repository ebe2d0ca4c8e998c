"""What every codec that reads lines does alike: lines in, facts out, in the order of the pipe.

A codec's facts are gathered while it works on one event and handed out together, so that what it
says to the agent and what it says of it stay in order.
"""

from abc import ABC, abstractmethod

from ranvier_broker.codecs import speech
from ranvier_broker.codecs.base import Fact
from ranvier_broker.codecs.jsonl import LINE_BYTES_MAX, LineSplitter, LineTooLong
from ranvier_broker.codecs.waiting import ANSWER_MS_MAX


class Listener(ABC):
    """The part of a `Codec` that takes the agent's bytes in, over any number of processes."""

    def __init__(
        self, cwd: str, answer_ms_max: int = ANSWER_MS_MAX, line_bytes_max: int = LINE_BYTES_MAX
    ) -> None:
        """`cwd`: where the agent works. The limits are those of `waiting` and `jsonl`."""
        self._cwd = cwd
        self._answer_ms_max = answer_ms_max
        self._line_bytes_max = line_bytes_max
        self._lines = LineSplitter(line_bytes_max)
        self._facts: list[Fact] = []
        self._set_up()

    @abstractmethod
    def _set_up(self) -> None:
        """Make what a protocol's codec keeps besides."""

    def receive(self, data: bytes, now_ms: int) -> list[Fact]:
        for line in self._lines.feed(data):
            if isinstance(line, LineTooLong):
                self._emit(speech.too_long(line, self._line_bytes_max))
            else:
                self._heard(line, now_ms)
        return self._told()

    def end(self, why: str) -> list[Fact]:
        if (rest := self._lines.finish()) is not None:
            self._emit(speech.cut_off(rest))
        self._gone(why)
        return self._told()

    @abstractmethod
    def _heard(self, line: bytes, now_ms: int) -> None:
        """A line of the agent."""

    @abstractmethod
    def _gone(self, why: str) -> None:
        """The process is gone: settle what waits for it, forget what it knew."""

    @property
    def _overdue(self) -> str:
        """Why a request is given up whose time is over."""
        return f"the agent gave no answer within {self._answer_ms_max // 1000} s"

    def _emit(self, *facts: Fact) -> None:
        self._facts.extend(facts)

    def _told(self) -> list[Fact]:
        facts, self._facts = self._facts, []
        return facts
