"""What an axon is told of its agent: its words, its questions, its log, and what troubles it.

Everything is cut to what an event may be, logs to a rate besides. A question has been asked when it
stands on the axon: only what comes after it there can be its answer.
"""

from typing import Final, assert_never

from ranvier.events import NewEvent, Origin

from ranvier_broker import notices
from ranvier_broker.codecs.base import Asked, Complaint, Garbage, RequestFailed, Said
from ranvier_broker.loglines import LogLines
from ranvier_broker.outbox import Outbox, Question

OUTBOX_BYTES_HIGH: Final = 8 * 1024 * 1024
"""Unwritten bytes at which the agent's output is no longer read: the pipe makes the agent wait."""

OUTBOX_BYTES_LOW: Final = 2 * 1024 * 1024
"""Unwritten bytes at which it is read again."""

Told = Said | Asked | RequestFailed | Complaint | Garbage
"""Facts for the axon."""


class Telling:
    """Puts into the outbox of one mount what its agent gives occasion to; `devbox` is the id that
    clients know."""

    def __init__(self, devbox: str, outbox: Outbox) -> None:
        self._devbox = devbox
        self._outbox = outbox
        self._stderr = LogLines()
        self._garbage = LogLines()
        self._asked: dict[int, int] = {}  # question → its sequence on the axon

    def put(self, event: NewEvent) -> None:
        """One event, or the complaint that it is too large."""
        self._outbox.put(event if notices.fits(event) else notices.too_large(self._devbox, event))

    def complain(self, kind: str, message: str) -> None:
        """An `agent.error`."""
        self.put(notices.agent_error(self._devbox, kind, message))

    def publish(
        self, fact: Said | Asked | RequestFailed | Complaint | Garbage, now_ms: int
    ) -> None:
        """What a codec made of the agent's output."""
        match fact:
            case Said(event_type, payload, origin):
                self.put(NewEvent(origin, notices.SOURCE, event_type, payload))
            case Asked(question, event_type, payload):
                event = NewEvent(Origin.AGENT, notices.SOURCE, event_type, payload)
                self._outbox.put(event, Question(question))
            case RequestFailed(method, error):
                self.put(notices.request_failed(method, error))
            case Complaint(kind, message):
                self.complain(kind, message)
            case Garbage(why, excerpt):
                line = f"{why}: {excerpt}\n".encode(errors="replace")
                self._log("stdout", self._garbage.feed(line, now_ms))
            case _:
                assert_never(fact)

    # --- questions

    def was_asked(self, question: int, sequence: int) -> None:
        """The question stands on the axon, at this sequence."""
        self._asked[question] = sequence

    def asked_at(self, question: int) -> int | None:
        """The question's sequence; None while it is on its way to the journal."""
        return self._asked.get(question)

    def answered(self, question: int) -> None:
        """Nobody waits for its answer any more."""
        self._asked.pop(question, None)

    # --- the process

    def new_process(self) -> None:
        """A process starts: its log is its own."""
        self._stderr = LogLines()

    def logged(self, data: bytes, now_ms: int) -> None:
        """The process wrote this to its stderr."""
        self._log("stderr", self._stderr.feed(data, now_ms))

    def process_gone(self, now_ms: int) -> None:
        """Its last line is told, its questions are open no more."""
        self._log("stderr", self._stderr.finish(now_ms))
        self._asked.clear()

    def _log(self, log_type: str, lines: list[str]) -> None:
        if self._outbox.bytes < OUTBOX_BYTES_HIGH:  # logs are the first to be let go
            for line in lines:
                self.put(notices.agent_log(log_type, line))
