"""The journal's committed state in memory, and a draft of the next transaction over it.

Both are the writer's. Commands work on the draft alone, in memory; the draft is written in
one go, and becomes the base only after COMMIT. A command that raises is undone to its mark, so the
other commands of its batch do not suffer; when the commit fails, the draft is simply dropped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final, Protocol

from ranvier.events import INBOUND_ORIGINS, AxonEvent, NewEvent, Origin, payload_bytes

from ranvier_apiserver.errors import AxonDeleted, AxonNotFound, DevboxNotFound, InvalidField
from ranvier_apiserver.state import Axon, AxonClaim, Devbox, Head

AXONS_CACHED_MAX: Final = 50_000
"""Axons whose state stays in memory; others are loaded on first touch (about 1 KiB each)."""


NUL: Final = "\0"
"""PostgreSQL has no text with this character, so no journal takes it but in payloads."""


class Loader(Protocol):
    """What the base asks of the database, on the writer's own connection."""

    def axon(self, axon_id: str) -> tuple[Axon, Head] | None: ...
    def origin_of(self, number: int, sequence: int) -> Origin | None: ...
    def first_inbound(self, axon: Axon, after: int, newest: int) -> tuple[int, int] | None: ...


@dataclass(slots=True)
class Base:
    """Committed state. Every devbox is here; axons come and go as they are touched."""

    loader: Loader
    devboxes: dict[str, Devbox] = field(default_factory=dict)
    claims: dict[str, AxonClaim] = field(default_factory=dict)
    axons: dict[str, Axon] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    mounted: dict[str, set[str]] = field(default_factory=dict)
    next_axon: int = 1

    def put_devbox(self, uid: str, devbox: Devbox | None) -> None:
        """None forgets it. Keeps `mounted` (axon → devboxes) true."""
        before = self.devboxes.get(uid)
        for mount in before.mounts if before else ():
            self.mounted.get(mount.axon_id, set()).discard(uid)
        for mount in devbox.mounts if devbox else ():
            self.mounted.setdefault(mount.axon_id, set()).add(uid)
        if devbox is None:
            self.devboxes.pop(uid, None)
        else:
            self.devboxes[uid] = devbox

    def put_claim(self, resource_uid: str, claim: AxonClaim | None) -> None:
        """None forgets it."""
        if claim is None:
            self.claims.pop(resource_uid, None)
        else:
            self.claims[resource_uid] = claim

    def load_axon(self, axon_id: str) -> Axon | None:
        if (axon := self.axons.get(axon_id)) is not None:
            return axon
        if NUL in axon_id or (loaded := self.loader.axon(axon_id)) is None:
            return None
        self.axons[axon_id], self.heads[axon_id] = loaded
        return loaded[0]

    def shrink(self) -> None:
        """Forget the axons that were loaded first; their state stands in the file."""
        excess = max(0, len(self.axons) - AXONS_CACHED_MAX)
        for axon_id in list(islice(self.axons, excess)):
            del self.axons[axon_id]
            del self.heads[axon_id]


_NOTHING: Final = object()


class Draft:
    """The next transaction: reads see its own changes, then the base."""

    def __init__(self, base: Base, now_ms: int) -> None:
        self.base = base
        self.now_ms = now_ms
        self.axons: dict[str, Axon] = {}
        self.heads: dict[str, Head] = {}
        self.devboxes: dict[str, Devbox | None] = {}
        self.claims: dict[str, AxonClaim | None] = {}
        self.answers: dict[bytes, bytes] = {}
        self.events: list[tuple[int, AxonEvent, int, int]] = []
        """Axon number, event, and with it the axon's total payload bytes and newest inbound one."""
        self.upkeep: list[tuple[str, tuple[Any, ...]]] = []
        """Statements of upkeep: they change nothing that the base knows."""
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []

    # --- marks

    def mark(self) -> tuple[int, int, int]:
        return len(self._undo), len(self.events), len(self.upkeep)

    def undo_to(self, mark: tuple[int, int, int]) -> None:
        undone, events, upkeep = mark
        while len(self._undo) > undone:
            table, key, old = self._undo.pop()
            if old is _NOTHING:
                del table[key]
            else:
                table[key] = old
        del self.events[events:]
        del self.upkeep[upkeep:]

    def _put(self, table: dict[Any, Any], key: Any, value: Any) -> None:
        self._undo.append((table, key, table.get(key, _NOTHING)))
        table[key] = value

    @property
    def is_empty(self) -> bool:
        return not (self._undo or self.events or self.upkeep)

    @property
    def is_one_insert(self) -> bool:
        """Whether it holds events and nothing else; heads follow from them."""
        others = (self.axons, self.devboxes, self.claims, self.answers, self.upkeep)
        return bool(self.events) and not any(others)

    # --- axons and events

    def axon(self, axon_id: str) -> Axon:
        axon = self.axons.get(axon_id) or self.base.load_axon(axon_id)
        if axon is None:
            raise AxonNotFound(axon_id)
        return axon

    def live_axon(self, axon_id: str) -> Axon:
        axon = self.axon(axon_id)
        if axon.deleted_at_ms is not None:
            raise AxonDeleted(axon_id)
        return axon

    def is_live(self, axon_id: str) -> bool:
        try:
            return self.axon(axon_id).deleted_at_ms is None
        except AxonNotFound:
            return False

    def head(self, axon_id: str) -> Head:
        if (head := self.heads.get(axon_id)) is not None:
            return head
        self.axon(axon_id)
        return self.base.heads[axon_id]

    def add_axon(self, axon: Axon) -> None:
        """A new axon, with no events yet."""
        self.put_axon(axon)
        self._put(self.heads, axon.axon_id, Head())

    def put_axon(self, axon: Axon) -> None:
        if NUL in (axon.name or ""):
            raise _nul("name")
        if any(NUL in text for text in (*axon.metadata, *axon.metadata.values())):
            raise _nul("metadata")
        self._put(self.axons, axon.axon_id, axon)

    def new_axon_number(self) -> int:
        """Numbers of refused commands are not used again before the next start; no harm."""
        number = self.base.next_axon
        self.base.next_axon += 1
        return number

    def append(self, axon: Axon, new: NewEvent) -> AxonEvent:
        """Number and hold one event."""
        return self.append_all(axon, (new,))

    def append_all(
        self, axon: Axon, batch: Sequence[NewEvent], dated_ms: Sequence[int] | None = None
    ) -> AxonEvent:
        """Number and hold these events, at least one; returns the last.

        `dated_ms` tells when each happened; without, it is now. Timestamps of an axon never go
        back, nor beyond now. The head is made once, since this is where a batch's time goes.
        """
        head = self.head(axon.axon_id)
        sequence, moment, total = head.sequence, head.timestamp_ms, head.payload_bytes
        inbound, inbound_ms = head.inbound, head.inbound_ms
        for index, new in enumerate(batch):
            if NUL in new.source:
                raise _nul("source")
            if NUL in new.event_type:
                raise _nul("event_type")
            happened = self.now_ms if dated_ms is None else min(dated_ms[index], self.now_ms)
            sequence, moment = sequence + 1, max(happened, moment)
            total += payload_bytes(new.payload)
            if new.origin in INBOUND_ORIGINS:
                inbound, inbound_ms = sequence, moment
            event = AxonEvent(
                axon.axon_id,
                sequence,
                moment,
                new.origin,
                new.source,
                new.event_type,
                new.payload,
            )
            self.events.append((axon.number, event, total, inbound))
        self._put(self.heads, axon.axon_id, Head(sequence, moment, inbound, inbound_ms, total))
        return event

    def origin_of(self, axon: Axon, sequence: int) -> Origin | None:
        for number, event, *_ in self.events:
            if number == axon.number and event.sequence == sequence:
                return event.origin
        return self.base.loader.origin_of(axon.number, sequence)

    # --- devboxes and claims

    def devbox(self, uid: str) -> Devbox:
        if (devbox := self.find_devbox(uid)) is None:
            raise DevboxNotFound(uid)
        return devbox

    def find_devbox(self, uid: str) -> Devbox | None:
        return self.devboxes[uid] if uid in self.devboxes else self.base.devboxes.get(uid)

    def put_devbox(self, uid: str, devbox: Devbox | None) -> None:
        self._put(self.devboxes, uid, devbox)

    def all_devboxes(self) -> Iterator[Devbox]:
        for uid in {**self.base.devboxes, **self.devboxes}:
            if (devbox := self.find_devbox(uid)) is not None:
                yield devbox

    def find_claim(self, resource_uid: str) -> AxonClaim | None:
        if resource_uid in self.claims:
            return self.claims[resource_uid]
        return self.base.claims.get(resource_uid)

    def put_claim(self, resource_uid: str, claim: AxonClaim | None) -> None:
        self._put(self.claims, resource_uid, claim)

    def all_claims(self) -> Iterable[AxonClaim]:
        merged = {**self.base.claims, **self.claims}
        return [claim for claim in merged.values() if claim is not None]

    # --- answers

    def keep_answer(self, digest: bytes, kept: bytes) -> None:
        self._put(self.answers, digest, kept)

    # --- the end

    def become_base(self) -> None:
        """The transaction is on disk: what was drafted now holds."""
        base = self.base
        for uid, devbox in self.devboxes.items():
            base.put_devbox(uid, devbox)
        for resource_uid, claim in self.claims.items():
            base.put_claim(resource_uid, claim)
        base.axons.update(self.axons)
        base.heads.update(self.heads)
        base.shrink()


def _nul(field: str) -> InvalidField:
    return InvalidField(f"{field}: must not hold the character NUL (U+0000).")
