"""What the journal remembers besides events: axons, devboxes, mounts. Pure, frozen values.

ARCHITECTURE.md ("The three counters") says what each counter guards. A state is replaced as a
whole inside one transaction of the writer, so nobody ever sees half a change.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from ranvier.events import AxonEvent
from ranvier.internal import DeletionPolicy


@dataclass(frozen=True, slots=True)
class Axon:
    """An axon without its events. `number` is its private short name in the store.

    `cursor_floor` is the highest cursor of mounts that are gone: where the next mount goes on.
    """

    number: int
    axon_id: str
    name: str | None
    metadata: Mapping[str, str]
    created_at_ms: int
    deleted_at_ms: int | None = None
    cursor_floor: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """Where an axon's events end; replaced by every append.

    `inbound` and `inbound_ms` are sequence and time of the newest event that a broker reads.
    """

    sequence: int = 0
    timestamp_ms: int = 0
    inbound: int = 0
    inbound_ms: int = 0
    payload_bytes: int = 0

    def moved(self, event: AxonEvent, payload_bytes: int) -> "Head":
        """The head once this event stands there; `payload_bytes` of the axon with it."""
        inbound = event.is_inbound
        return Head(
            event.sequence,
            event.timestamp_ms,
            event.sequence if inbound else self.inbound,
            event.timestamp_ms if inbound else self.inbound_ms,
            payload_bytes,
        )


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that has its `turn.started` but no terminal yet."""

    turn_id: str
    trigger: int
    started_sequence: int


@dataclass(frozen=True, slots=True)
class Mount:
    """One brokerMount of one devbox. `state` is the broker's own JSON text."""

    index: int
    axon_id: str
    protocol: str
    cursor: int
    control_cursor: int
    last_activity_ms: int
    epoch: int = 0
    attached: bool = False
    open_turn: Turn | None = None
    last_trigger: int = 0
    state: str = "{}"
    last_batch: int = 0
    last_first: int = 0
    last_last: int = 0


@dataclass(frozen=True, slots=True)
class Devbox:
    """One Devbox resource as the journal knows it. `last_activity_ms`: registered or woken, kept
    alive, or an execution began or ended. `executing`: its sidecar has executions under way."""

    uid: str
    namespace: str
    name: str
    wake_on_event: bool
    held: bool
    last_activity_ms: int
    generation: int = 1
    asleep: bool = False
    resume_requested: bool = False
    executing: bool = False
    mounts: tuple[Mount, ...] = ()

    def mount(self, index: int) -> Mount | None:
        return next((mount for mount in self.mounts if mount.index == index), None)


@dataclass(frozen=True, slots=True)
class AxonClaim:
    """An Axon resource's hold on an axon."""

    resource_uid: str
    axon_id: str
    namespace: str
    name: str
    metadata: Mapping[str, str]
    deletion_policy: DeletionPolicy


@dataclass(frozen=True, slots=True)
class Wake:
    """Why a devbox must run: the first unread event of the devbox's `generation` (W1).

    Equal for as long as the reason is the same, so poking again changes nothing.
    """

    devbox_uid: str
    namespace: str
    name: str
    generation: int
    axon_id: str
    sequence: int
    time_ms: int
