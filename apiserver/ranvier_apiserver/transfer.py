"""An axon as JSON lines, out and in again. One event a line, as the API shows events.

Out: pages from the store, so memory is bounded. In: atomic batches, each of which expects the head
that the one before left; lines that the axon already holds are compared and passed over, so an
import that broke off is simply sent again.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json
from ranvier.events import PAYLOAD_BYTES_MAX, AxonEvent, NewEvent, Origin

from ranvier_apiserver import bodies, frames
from ranvier_apiserver.errors import BadInput, InvalidField, PayloadTooLarge
from ranvier_apiserver.journal.store import Dated, Store

LINE_BYTES_MAX: Final = bodies.PUBLISH_BODY_BYTES_MAX
"""An event of the largest payload, however it is escaped."""

BATCH_EVENTS: Final = 500
BATCH_BYTES: Final = 1024 * 1024
"""An import commits after so many events or payload bytes."""

PAGE_EVENTS: Final = 500

Whole = Annotated[int, Field(ge=0, lt=2**63)]


class EventLine(BaseModel):
    """One line of an export; `axon_id` is not looked at, since an import is a copy."""

    model_config = ConfigDict(extra="ignore")

    sequence: Annotated[int, Field(ge=1, lt=2**63)]
    timestamp_ms: Whole
    origin: Origin
    source: str
    event_type: str
    payload: str

    def new(self) -> NewEvent:
        return NewEvent(self.origin, self.source, self.event_type, self.payload)


@dataclass(frozen=True, slots=True)
class Imported:
    """`skipped` lines stood on the axon already, each the same."""

    imported: int
    skipped: int
    head: int


async def export(store: Store, axon_id: str, after: int) -> AsyncIterator[bytes]:
    """The lines of every event after `after` that the axon holds when the export begins.

    An error while it runs breaks the answer off, so that no part is taken for the whole.
    """
    page = await store.read_after(axon_id, after, PAGE_EVENTS)
    head = page.head
    while True:
        wanted = [event for event in page.events if event.sequence <= head]
        yield b"".join(to_json(frames.view(event)) + b"\n" for event in wanted)
        if page.cursor >= head:
            return
        page = await store.read_after(axon_id, page.cursor, PAGE_EVENTS)


async def split(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of a body, without their ends; empty ones are left out."""
    rest = bytearray()
    async for chunk in chunks:
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            rest += chunk[start:end]
            _expect_to_fit(rest)
            if rest.strip():
                yield bytes(rest)
            rest.clear()
            start = end + 1
        rest += chunk[start:]
        _expect_to_fit(rest)
    if rest.strip():
        yield bytes(rest)


class Import:
    """One import into one axon."""

    def __init__(self, store: Store, axon_id: str) -> None:
        self._store = store
        self._axon_id = axon_id
        self._batch: list[Dated] = []
        self._bytes = 0
        self._head = 0
        self._done = Imported(0, 0, 0)

    async def run(self, lines: AsyncIterator[bytes]) -> Imported:
        self._head = (await self._store.read_before(self._axon_id, None, 1)).head
        number, previous = 0, 0
        present: AsyncIterator[AxonEvent] | None = None
        try:
            async for text in lines:
                number += 1
                line = bodies.parse(EventLine, text)
                self._expect_in_order(line, previous)
                previous = line.sequence
                if line.sequence > self._head:
                    await self._add(line)
                    continue
                present = present or self._present(line.sequence)
                _expect_same(line, await anext(present))
                self._skip()
            await self._flush()
        except (BadInput, InvalidField, PayloadTooLarge) as error:
            where = f"line {number}: {error} The axon ends at sequence {self._head}."
            raise type(error)(where) from error
        return Imported(self._done.imported, self._done.skipped, self._head)

    def _expect_in_order(self, line: EventLine, previous: int) -> None:
        last = previous or self._head
        if line.sequence > last + 1 or (previous and line.sequence != last + 1):
            raise InvalidField(
                f"sequence {line.sequence} can not follow {last}. Send the lines of an export in "
                "their order, from any that the axon holds on."
            )
        if len(line.payload.encode()) > PAYLOAD_BYTES_MAX:
            raise PayloadTooLarge(f"A payload holds at most {PAYLOAD_BYTES_MAX} bytes.")

    async def _add(self, line: EventLine) -> None:
        self._batch.append(Dated(line.new(), line.timestamp_ms))
        self._bytes += len(line.payload)
        if len(self._batch) >= BATCH_EVENTS or self._bytes >= BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if not self._batch:
            return
        done = await self._store.restore(self._axon_id, tuple(self._batch), self._head)
        imported = self._done.imported + len(self._batch)
        self._done = Imported(imported, self._done.skipped, done.sequence)
        self._head = done.sequence
        self._batch.clear()
        self._bytes = 0

    def _skip(self) -> None:
        self._done = Imported(self._done.imported, self._done.skipped + 1, self._head)

    async def _present(self, first: int) -> AsyncIterator[AxonEvent]:
        """What the axon held at the beginning, from `first` on."""
        cursor = first - 1
        while True:
            page = await self._store.read_after(self._axon_id, cursor, PAGE_EVENTS)
            for event in page.events:
                yield event
            cursor = page.cursor


def _expect_same(line: EventLine, present: AxonEvent) -> None:
    fields: Sequence[str] = ("sequence", "origin", "source", "event_type", "payload")
    if any(getattr(line, field) != getattr(present, field) for field in fields):
        raise InvalidField(
            f"the axon holds another event at sequence {line.sequence}. Import into an axon of its "
            "own."
        )


def _expect_to_fit(line: bytearray) -> None:
    if len(line) > LINE_BYTES_MAX:
        raise PayloadTooLarge(f"A line holds at most {LINE_BYTES_MAX} bytes.")
