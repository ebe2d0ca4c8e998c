"""Reads an axon backwards for people: filtered, and still exact about whether more is left."""

from typing import Final, Protocol

from ranvier.events import AxonEvent

from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal.store import History

ANSWER_BYTES_MAX: Final = 4 * 1024 * 1024
"""Payload of one answer, but for its last event; a store's own pages are bounded too."""


class Pages(Protocol):
    """What is asked of the journal."""

    async def read_before(
        self, axon_id: str, before: int | None, limit: int, only: EventFilter
    ) -> History: ...


async def newest_first(
    pages: Pages, axon_id: str, before: int | None, limit: int, only: EventFilter
) -> History:
    """Up to `limit` matching events older than `before`.

    One event more than asked is looked for, so `has_more` is exact and the clients' pagination,
    which stops at an empty page, never stops early.
    """
    events: list[AxonEvent] = []
    head: int | None = None
    while True:
        step = await pages.read_before(axon_id, before, limit + 1 - len(events), only)
        head = step.head if head is None else head
        events += step.events
        size = sum(len(event.payload) for event in events)
        if len(events) > limit or (len(events) > 1 and size > ANSWER_BYTES_MAX):
            kept = events[:-1]
            return History(kept, head, True, kept[-1].sequence)
        if step.cursor <= 1:
            return History(events, head, False, 1)
        before = step.cursor
