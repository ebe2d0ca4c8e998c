"""One subscription over many connections: what to ask, to deliver, when to come back. Pure.

It remembers the last sequence that it delivered and resumes there (J5): an event that comes again
is dropped, an event that is missing is an error, never silence.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from ranvier.client import retries
from ranvier.client.axon_calls import event_of, path_of
from ranvier.client.calls import as_query
from ranvier.client.errors import AnswerNotUnderstood, RanvierError, SequenceGap, of_answer
from ranvier.events import AxonEvent, Origin
from ranvier.sse import ServerSentEvent, SseParser

ERROR: Final = "error"


class Interrupted(Exception):
    """The server ended this connection with an error that may pass: come back later."""


class Tail:
    """State of one subscription. Per connection: `query`, `opened`, `feed`…, then `ended`.

    `tries_max`: how often the first connection is tried. Once it stood, it is tried for ever.
    """

    def __init__(
        self,
        axon_id: str,
        after_sequence: int = 0,
        origins: Collection[Origin] | None = None,
        event_types: Collection[str] | None = None,
        *,
        tries_max: int = 1,
    ) -> None:
        self.path = path_of(axon_id, "subscribe/sse")
        self.last_sequence = after_sequence
        self._axon_id = axon_id
        self._origins = frozenset(origins) if origins else None
        self._event_types = frozenset(event_types) if event_types else None
        self._parser = SseParser()
        self._tries_max = tries_max
        self._tries = 0
        self._chunks = 0
        self._has_stood = False

    @property
    def query(self) -> dict[str, str]:
        """Parameters of the next connection."""
        origins = ",".join(sorted(self._origins)) if self._origins else None
        event_types = ",".join(sorted(self._event_types)) if self._event_types else None
        return as_query(
            after_sequence=self.last_sequence or None, origin=origins, event_type=event_types
        )

    def opened(self) -> None:
        """The server has accepted; its bytes follow."""
        self._parser = SseParser()
        self._chunks = 0
        self._has_stood = True

    def feed(self, chunk: bytes) -> Iterator[AxonEvent]:
        """Take bytes; give the events that they completed and that the caller wants.

        Raises `Interrupted`, or a `RanvierError` that ends the subscription.
        """
        messages = self._parser.feed(chunk)
        self._chunks += 1
        if messages or self._chunks > 1:  # a greeting alone may come from a server in trouble
            self._tries = 0
        for message in messages:
            if message.event == ERROR:
                self._raise(message)
            event = self._event(message)
            if event.sequence <= self.last_sequence:
                continue
            # With a filter the server leaves events out, so only without one a gap is a loss.
            if not self._is_filtered and event.sequence != self.last_sequence + 1:
                raise SequenceGap(self._axon_id, self.last_sequence + 1, event.sequence)
            self.last_sequence = event.sequence
            if self._is_wanted(event):
                yield event

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

    def _raise(self, message: ServerSentEvent) -> None:
        try:
            status = int(json.loads(message.data)["code"])
        except (ValueError, KeyError, TypeError):
            status = 500
        if retries.is_retryable(status, {}):
            raise Interrupted
        raise of_answer(status, message.data.encode())
