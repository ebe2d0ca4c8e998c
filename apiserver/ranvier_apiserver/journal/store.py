"""The seam: everything that the API server asks of a journal, whatever engine stands behind it.

Each changing call is one transaction, serialised with all others, and answers only when it is on
disk; listeners hear of it after that and never of anything else (J2). Errors are `errors.py`'s.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ranvier.events import AxonEvent, NewEvent
from ranvier.internal import (
    AppendAnswer,
    AppendRequest,
    AttachAnswer,
    AttachRequest,
    AxonBinding,
    AxonBindingView,
    DevboxBinding,
    DevboxView,
    ExecutingReport,
    SleepAnswer,
    SleepRequest,
)

from ranvier_apiserver.event_filter import EVERYTHING, EventFilter
from ranvier_apiserver.state import Axon, Wake


@dataclass(frozen=True, slots=True)
class Published:
    """Where a publish ended. Its `count` events end at `sequence` and share one timestamp."""

    sequence: int
    timestamp_ms: int
    count: int = 1


@dataclass(frozen=True, slots=True)
class Dated:
    """An event that happened elsewhere, at that time."""

    event: NewEvent
    timestamp_ms: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What one commit made visible. `wakes`: devboxes that must run because of it (W1).

    `seconds`: how long the commit took, if this process did it. `forget`: more was committed than
    is told here; who follows an axon must look at the store again.
    """

    events: Sequence[AxonEvent]
    wakes: Sequence[Wake] = ()
    deleted_axons: Sequence[str] = ()
    seconds: float | None = None
    forget: bool = False


Listener = Callable[[Committed], None]
"""Called in the event loop, right after a commit, in commit order."""


@dataclass(frozen=True, slots=True)
class Page:
    """Events after a cursor. `cursor` is where to go on; `at_end` says nothing lies behind it.

    With a filter `cursor` has passed the events that were left out, so a page without events may
    still be a step: read on until `at_end`. `head` is the axon's last sequence at that moment.
    """

    events: Sequence[AxonEvent]
    cursor: int
    at_end: bool
    head: int


@dataclass(frozen=True, slots=True)
class FramePage:
    """A page as it goes to a stream's reader. Without frames it may still be a step."""

    frames: bytes
    cursor: int


@dataclass(frozen=True, slots=True)
class History:
    """Events newest first, and the axon's head at that moment.

    `cursor` is the oldest sequence that was looked at, 1 at the axon's beginning: with a filter,
    a read before it goes on. `has_more` says whether it is worth while.
    """

    events: Sequence[AxonEvent]
    head: int
    has_more: bool
    cursor: int


@dataclass(frozen=True, slots=True)
class AxonQuery:
    """Filters of a list of axons; all must match. `metadata` maps a key to its allowed values."""

    limit: int
    starting_after: str | None = None
    axon_id: str | None = None
    name_prefix: str | None = None
    search: str | None = None
    metadata: dict[str, list[str]] = field(default_factory=dict)
    with_total: bool = True


@dataclass(frozen=True, slots=True)
class AxonList:
    axons: Sequence[Axon]
    has_more: bool
    total: int | None


class Store(Protocol):
    """`once` is the digest of a request id: a repeat gets the first answer again (J4)."""

    def listen(self, listener: Listener) -> None: ...

    @property
    def is_healthy(self) -> bool:
        """False once the store can take no more writes until the process starts anew."""
        ...

    @property
    def can_commit(self) -> bool:
        """False while writes fail or hang; `probe` finds out whether that is over."""
        ...

    async def probe(self) -> None:
        """Commit something small that nobody sees, or raise what stands against it."""
        ...

    @property
    def waiting_events(self) -> int:
        """Events that were accepted and wait for their commit."""
        ...

    # --- axons
    async def create_axon(
        self, name: str | None, metadata: dict[str, str], once: bytes | None = None
    ) -> Axon: ...
    async def axon(self, axon_id: str) -> Axon: ...
    async def axons(self, query: AxonQuery) -> AxonList: ...
    async def update_axon(self, axon_id: str, metadata: dict[str, str] | None) -> Axon: ...
    async def delete_axon(self, axon_id: str) -> None: ...

    # --- events
    async def publish(
        self,
        axon_id: str,
        event: NewEvent,
        once: bytes | None = None,
        expected: int | None = None,
    ) -> Published:
        """`expected` is the head that the publisher saw: another one raises `HeadMoved`."""
        ...

    async def publish_many(
        self,
        axon_id: str,
        events: Sequence[NewEvent],
        once: bytes | None = None,
        expected: int | None = None,
    ) -> Published:
        """All of the events, at least one, or none of them."""
        ...

    def publish_then(
        self,
        axon_id: str,
        events: Sequence[NewEvent],
        once: bytes | None,
        expected: int | None,
        then: Callable[[Published, Exception | None], None],
    ) -> None:
        """As `publish_many`, for who has no task: `then` is called in the event loop with what came
        of it. Raises when it was not taken, and then calls nobody."""
        ...

    async def restore(self, axon_id: str, events: Sequence[Dated], expected: int) -> Published:
        """All of the events with their own timestamps, as history that no broker answers."""
        ...

    async def read_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> Page: ...
    async def frames_after(
        self, axon_id: str, after: int, limit: int, only: EventFilter = EVERYTHING
    ) -> FramePage: ...
    async def read_before(
        self, axon_id: str, before: int | None, limit: int, only: EventFilter = EVERYTHING
    ) -> History: ...

    # --- what the operator declares and asks
    async def bind_axon(self, resource_uid: str, binding: AxonBinding) -> AxonBindingView: ...
    async def axon_bindings(self) -> list[AxonBindingView]: ...
    async def unbind_axon(self, resource_uid: str) -> None: ...
    async def bind_devbox(self, uid: str, binding: DevboxBinding) -> DevboxView: ...
    async def devboxes(self) -> list[DevboxView]: ...
    async def unbind_devbox(self, uid: str) -> None: ...
    async def sleep(self, uid: str, request: SleepRequest) -> SleepAnswer: ...

    # --- what the REST API asks; `sleep` with `force` is its suspend
    async def resume(self, uid: str) -> DevboxView:
        """Ask for a devbox that sleeps; one that runs or is held stays as it is."""
        ...

    async def keep_alive(self, uid: str) -> None:
        """Its idle time begins anew."""
        ...

    # --- what brokers do
    async def attach(self, uid: str, index: int, request: AttachRequest) -> AttachAnswer: ...
    async def append(self, uid: str, index: int, request: AppendRequest) -> AppendAnswer: ...
    def append_then(
        self,
        uid: str,
        index: int,
        request: AppendRequest,
        then: Callable[[AppendAnswer, Exception | None], None],
    ) -> None:
        """As `append`, for who has no task; see `publish_then`."""
        ...

    async def devbox(self, uid: str) -> DevboxView: ...
    async def report_executing(self, uid: str, report: ExecutingReport) -> None: ...
    async def mounted_axons(self, uid: str) -> frozenset[str]: ...

    # --- upkeep
    async def wakes(self) -> list[Wake]:
        """Every devbox that an unread event wants awake, whether it was poked or not (W2)."""
        ...

    async def tidy(self) -> bool:
        """Do a little upkeep (deleted axons' events, old answers); True when more is left."""
        ...
