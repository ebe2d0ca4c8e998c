"""What the writer can be asked to do to axons and their events. Pure: drafts in, results out.

A command is all or nothing. It knows its weight, so that the queue before the writer is bounded in
events and bytes, and a command with a request id knows how its first answer is kept (J4).
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, Generic, TypeVar

from ranvier.events import NewEvent, payload_bytes
from ranvier.internal import AxonBinding, AxonBindingView, DeletionPolicy

from ranvier_apiserver.errors import AxonFull, AxonMounted, HeadMoved
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.journal.store import Dated, Published
from ranvier_apiserver.state import Axon, AxonClaim

AXON_BYTES_MAX: Final = 10 * 1024**3
"""Payload bytes of one axon (J8, seed 000: "10GB of event data")."""

ANSWERS_KEPT_MS: Final = 24 * 3600 * 1000
"""A retry comes within minutes; a day leaves room for a client that slept."""

SMALL_EVENTS: Final = 4
SMALL_BYTES: Final = 64 * 1024
"""Up to so many events and bytes a command is small."""

TIDY_ROWS: Final = 500
"""Rows removed in one step of upkeep: short enough not to be felt by publishers."""

T = TypeVar("T")


class Command(ABC, Generic[T]):
    """One thing to do in one transaction."""

    once: ClassVar[bytes | None] = None
    reads: ClassVar[bool] = False
    """Changes nothing, so no lock is needed."""
    appends: ClassVar[bool] = False
    """Appends its events, and changes hardly anything besides."""
    events: ClassVar[int] = 1
    size: ClassVar[int] = 0

    @property
    def is_small(self) -> bool:
        """Whether it surely takes less time than the disk's sync after it."""
        return self.appends and self.events <= SMALL_EVENTS and self.size <= SMALL_BYTES

    @abstractmethod
    def run(self, draft: Draft) -> T: ...

    def keep(self, result: T) -> bytes:
        raise NotImplementedError

    def recall(self, kept: bytes) -> T:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Publish(Command[Published]):
    """Appends `batch`, at least one event, whole. `expected`: refused unless this is the head."""

    appends: ClassVar = True

    axon_id: str
    batch: Sequence[NewEvent]
    events: int  # type: ignore[misc]
    size: int  # type: ignore[misc]
    once: bytes | None = None  # type: ignore[misc]
    expected: int | None = None

    @classmethod
    def of(
        cls,
        axon_id: str,
        batch: Sequence[NewEvent],
        once: bytes | None = None,
        expected: int | None = None,
    ) -> "Publish":
        """The command with its weight."""
        size = sum(payload_bytes(event.payload) for event in batch)
        return cls(axon_id, batch, len(batch), size, once, expected)

    def run(self, draft: Draft) -> Published:
        axon = draft.live_axon(self.axon_id)
        _expect_room(draft, self.axon_id, self.expected, self.size)
        last = draft.append_all(axon, self.batch)
        return Published(last.sequence, last.timestamp_ms, len(self.batch))

    def keep(self, result: Published) -> bytes:
        return b"%d %d %d" % (result.sequence, result.timestamp_ms, result.count)

    def recall(self, kept: bytes) -> Published:
        return Published(*map(int, kept.split()))


@dataclass(frozen=True, slots=True)
class Restore(Command[Published]):
    """Appends history: it starts no turn, also not for a devbox that mounts the axon later."""

    axon_id: str
    dated: Sequence[Dated]
    expected: int
    events: int  # type: ignore[misc]
    size: int  # type: ignore[misc]

    @classmethod
    def of(cls, axon_id: str, dated: Sequence[Dated], expected: int) -> "Restore":
        size = sum(payload_bytes(each.event.payload) for each in dated)
        return cls(axon_id, dated, expected, len(dated), size)

    def run(self, draft: Draft) -> Published:
        axon = draft.live_axon(self.axon_id)
        if any(m.axon_id == self.axon_id for box in draft.all_devboxes() for m in box.mounts):
            raise AxonMounted(self.axon_id)
        _expect_room(draft, self.axon_id, self.expected, self.size)
        events, dates = zip(*((each.event, each.timestamp_ms) for each in self.dated), strict=True)
        last = draft.append_all(axon, events, dates)
        draft.put_axon(replace(axon, cursor_floor=last.sequence))
        return Published(last.sequence, last.timestamp_ms, len(self.dated))


@dataclass(frozen=True, slots=True)
class CreateAxon(Command[Axon]):
    axon_id: str
    name: str | None
    metadata: dict[str, str]
    once: bytes | None = None  # type: ignore[misc]

    def run(self, draft: Draft) -> Axon:
        axon = Axon(draft.new_axon_number(), self.axon_id, self.name, self.metadata, draft.now_ms)
        draft.add_axon(axon)
        return axon

    def keep(self, result: Axon) -> bytes:
        answer = [result.number, result.axon_id, result.name, result.metadata, result.created_at_ms]
        return json.dumps(answer).encode()

    def recall(self, kept: bytes) -> Axon:
        return Axon(*json.loads(kept))


@dataclass(frozen=True, slots=True)
class ReadAxon(Command[Axon]):
    reads: ClassVar[bool] = True
    axon_id: str

    def run(self, draft: Draft) -> Axon:
        return draft.axon(self.axon_id)


@dataclass(frozen=True, slots=True)
class UpdateAxon(Command[Axon]):
    """None leaves the metadata as it is, `{}` clears it."""

    axon_id: str
    metadata: dict[str, str] | None

    def run(self, draft: Draft) -> Axon:
        axon = draft.live_axon(self.axon_id)
        if self.metadata is None or self.metadata == axon.metadata:
            return axon
        updated = replace(axon, metadata=self.metadata)
        draft.put_axon(updated)
        return updated


@dataclass(frozen=True, slots=True)
class DeleteAxon(Command[None]):
    """Marks it; the events follow in small steps. Deleting twice is no error."""

    axon_id: str

    def run(self, draft: Draft) -> None:
        axon = draft.axon(self.axon_id)
        if axon.deleted_at_ms is None:
            draft.put_axon(replace(axon, deleted_at_ms=draft.now_ms))


@dataclass(frozen=True, slots=True)
class BindAxon(Command[AxonBindingView]):
    """An Axon resource takes hold of an axon, which is made the first time."""

    resource_uid: str
    binding: AxonBinding
    new_axon_id: str

    def run(self, draft: Draft) -> AxonBindingView:
        known = draft.find_claim(self.resource_uid)
        wanted = self.binding
        if known is None:
            CreateAxon(self.new_axon_id, wanted.name, wanted.metadata).run(draft)
        elif known.metadata != wanted.metadata and draft.is_live(known.axon_id):
            UpdateAxon(known.axon_id, wanted.metadata).run(draft)
        claim = AxonClaim(
            self.resource_uid,
            known.axon_id if known else self.new_axon_id,
            wanted.namespace,
            wanted.name,
            wanted.metadata,
            wanted.deletion_policy,
        )
        if claim != known:
            draft.put_claim(self.resource_uid, claim)
        return _claim_view(draft, claim)


@dataclass(frozen=True, slots=True)
class ListClaims(Command[list[AxonBindingView]]):
    reads: ClassVar[bool] = True

    def run(self, draft: Draft) -> list[AxonBindingView]:
        return [_claim_view(draft, claim) for claim in draft.all_claims()]


@dataclass(frozen=True, slots=True)
class UnbindAxon(Command[None]):
    resource_uid: str

    def run(self, draft: Draft) -> None:
        claim = draft.find_claim(self.resource_uid)
        if claim is None:
            return
        draft.put_claim(self.resource_uid, None)
        if claim.deletion_policy is DeletionPolicy.DELETE:
            DeleteAxon(claim.axon_id).run(draft)


@dataclass(frozen=True, slots=True)
class Tidy(Command[None]):
    """Removes some events of a deleted axon, and some answers that nobody will ask for again."""

    axon_number: int | None
    old_answers: bool

    def run(self, draft: Draft) -> None:
        if self.axon_number is not None:
            statement = (
                "DELETE FROM event WHERE position IN"
                " (SELECT position FROM event WHERE axon = ? ORDER BY sequence LIMIT ?)"
            )
            draft.upkeep.append((statement, (self.axon_number, TIDY_ROWS)))
        if self.old_answers:
            statement = (
                "DELETE FROM answer WHERE number IN"
                " (SELECT number FROM answer ORDER BY number LIMIT ?) AND created_at_ms < ?"
            )
            draft.upkeep.append((statement, (TIDY_ROWS, draft.now_ms - ANSWERS_KEPT_MS)))


@dataclass(frozen=True, slots=True)
class Probe(Command[None]):
    """Writes an answer to a request that nobody made; upkeep removes it with the others."""

    once: bytes  # type: ignore[misc]

    def run(self, draft: Draft) -> None:
        return None

    def keep(self, result: None) -> bytes:
        return b""

    def recall(self, kept: bytes) -> None:
        return None


def _expect_room(draft: Draft, axon_id: str, expected: int | None, size: int) -> None:
    """The axon ends where the publisher thinks, and what comes fits."""
    head = draft.head(axon_id)
    if expected is not None and expected != head.sequence:
        raise HeadMoved(axon_id, expected, head.sequence)
    if head.payload_bytes + size > AXON_BYTES_MAX:
        raise AxonFull(f"Axon {axon_id!r} holds {AXON_BYTES_MAX} bytes; create a new one.")


def _claim_view(draft: Draft, claim: AxonClaim) -> AxonBindingView:
    return AxonBindingView(
        namespace=claim.namespace,
        name=claim.name,
        metadata=dict(claim.metadata),
        deletion_policy=claim.deletion_policy,
        resource_uid=claim.resource_uid,
        axon_id=claim.axon_id,
        head=draft.head(claim.axon_id).sequence,
    )
