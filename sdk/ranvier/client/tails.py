"""One stream over many connections: what to ask, to deliver, when to come back. Pure."""

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Final, Generic, NoReturn, TypeVar

from ranvier.client import retries
from ranvier.client.axon_calls import event_of, path_of
from ranvier.client.calls import as_query
from ranvier.client.devbox_calls import Output, execution_path
from ranvier.client.errors import AnswerNotUnderstood, RanvierError, SequenceGap, of_answer
from ranvier.events import AxonEvent, Origin
from ranvier.sse import ServerSentEvent, SseParser

ERROR: Final = "error"


class Interrupted(Exception):
    """The server ended this connection with an error that may pass: come back later."""


Item = TypeVar("Item", covariant=True)


class Tail(ABC, Generic[Item]):
    """State of one stream. Per connection: `query`, `opened`, `feed`…, then `ended`.

    `tries_max`: how often the first connection is tried. Once it stood, it is tried for ever.
    `has_end`: the server ends the stream when there is no more; else every end is a broken one.
    """

    path: str
    has_end = False

    def __init__(self, tries_max: int) -> None:
        self._parser = SseParser()
        self._tries_max = tries_max
        self._tries = 0
        self._chunks = 0
        self._has_stood = False

    @property
    @abstractmethod
    def query(self) -> dict[str, str]:
        """Parameters of the next connection."""

    @abstractmethod
    def _item(self, message: ServerSentEvent) -> Item | None:
        """What the caller gets of a message, None for nothing; raises RanvierError."""

    def opened(self) -> None:
        """The server has accepted; its bytes follow."""
        self._parser = SseParser()
        self._chunks = 0
        self._has_stood = True

    def feed(self, chunk: bytes) -> Iterator[Item]:
        """Take bytes; give what they completed and the caller wants.

        Raises `Interrupted`, or a `RanvierError` that ends the stream.
        """
        messages = self._parser.feed(chunk)
        self._chunks += 1
        if messages or self._chunks > 1:  # a greeting alone may come from a server in trouble
            self._tries = 0
        for message in messages:
            if message.event == ERROR:
                _raise(message)
            if (item := self._item(message)) is not None:
                yield item

    def ended(self, chance: float) -> float:
        """The connection is over, cleanly or not: seconds until the next one."""
        wait = retries.backoff(self._tries, chance)
        self._tries += 1
        return wait

    def failed(self, error: RanvierError, chance: float) -> float:
        """No connection came about. Seconds until the next try, or raises the error."""
        if not self._has_stood and self._tries + 1 >= self._tries_max:
            raise error
        return self.ended(chance)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes, chance: float) -> float:
        """The server answered otherwise than with a stream. Seconds to wait, or raises why."""
        error = of_answer(status, body)
        if not retries.is_retryable(status, headers):
            raise error
        return max(self.failed(error, chance), retries.asked_seconds(headers) or 0.0)


class EventTail(Tail[AxonEvent]):
    """The events of an axon. It remembers the last sequence that it delivered and resumes there
    (J5): an event that comes again is dropped, one that is missing is an error, never silence."""

    def __init__(
        self,
        axon_id: str,
        after_sequence: int = 0,
        origins: Collection[Origin] | None = None,
        event_types: Collection[str] | None = None,
        *,
        tries_max: int = 1,
    ) -> None:
        super().__init__(tries_max)
        self.path = path_of(axon_id, "subscribe/sse")
        self.last_sequence = after_sequence
        self._axon_id = axon_id
        self._origins = frozenset(origins) if origins else None
        self._event_types = frozenset(event_types) if event_types else None

    @property
    def query(self) -> dict[str, str]:
        origins = ",".join(sorted(self._origins)) if self._origins else None
        event_types = ",".join(sorted(self._event_types)) if self._event_types else None
        return as_query(
            after_sequence=self.last_sequence or None, origin=origins, event_type=event_types
        )

    def _item(self, message: ServerSentEvent) -> AxonEvent | None:
        event = self._event(message)
        if event.sequence <= self.last_sequence:
            return None
        # With a filter the server leaves events out, so only without one a gap is a loss.
        if not self._is_filtered and event.sequence != self.last_sequence + 1:
            raise SequenceGap(self._axon_id, self.last_sequence + 1, event.sequence)
        self.last_sequence = event.sequence
        return event if self._is_wanted(event) else None

    def _event(self, message: ServerSentEvent) -> AxonEvent:
        try:
            return event_of(message.data)
        except ValueError as error:
            what = f"Axon {self._axon_id}: an event after {self.last_sequence} can not be read"
            raise AnswerNotUnderstood(f"{what} ({error}).", "Update this client.") from error

    @property
    def _is_filtered(self) -> bool:
        return self._origins is not None or self._event_types is not None

    def _is_wanted(self, event: AxonEvent) -> bool:
        if self._origins is not None and event.origin not in self._origins:
            return False
        return self._event_types is None or event.event_type in self._event_types


class OutputTail(Tail[str]):
    """What a command in a devbox writes; it resumes at the byte after the last that came."""

    has_end = True

    def __init__(
        self,
        devbox_id: str,
        execution_id: str,
        output: Output = "stdout",
        offset: int = 0,
        *,
        tries_max: int = 1,
    ) -> None:
        super().__init__(tries_max)
        self.path = execution_path(devbox_id, execution_id, f"stream_{output}_updates")
        self.offset = offset

    @property
    def query(self) -> dict[str, str]:
        return as_query(offset=self.offset or None)

    def _item(self, message: ServerSentEvent) -> str | None:
        try:
            said = json.loads(message.data)
            text, offset = str(said["output"]), int(said["offset"])
        except (ValueError, KeyError, TypeError) as error:
            what = f"Output after byte {self.offset} can not be read"
            raise AnswerNotUnderstood(f"{what} ({error}).", "Update this client.") from error
        if offset <= self.offset:
            return None
        self.offset = offset
        return text


def _raise(message: ServerSentEvent) -> NoReturn:
    try:
        status = int(json.loads(message.data)["code"])
    except (ValueError, KeyError, TypeError):
        status = 500
    if retries.is_retryable(status, {}):
        raise Interrupted
    raise of_answer(status, message.data.encode())
