"""Wire models of the internal API: what operator and broker say to the API server, and its answers.

ARCHITECTURE.md ("Internal API") has the table of calls. Models read leniently (unknown fields are
ignored), so an older part survives a newer one during an upgrade.
"""

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ranvier.events import Origin

EVENTS_PER_APPEND_MAX = 1000
"""Events in one append; a broker with more sends several batches."""


class Wire(BaseModel):
    """Base of all wire models: immutable once read, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


# --- operator: axons


class DeletionPolicy(StrEnum):
    """What becomes of the journal when the Axon resource is deleted."""

    RETAIN = "Retain"
    DELETE = "Delete"


class AxonBinding(Wire):
    """An Axon resource as the operator declares it."""

    namespace: str
    name: str
    metadata: dict[str, str] = {}
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN


class AxonBindingView(AxonBinding):
    """The journal's axon behind an Axon resource; `head` is its newest sequence (0 when empty)."""

    resource_uid: str
    axon_id: str
    head: int


class AxonBindings(Wire):
    axons: list[AxonBindingView]


# --- operator: devboxes


class MountBinding(Wire):
    """One brokerMount of a devbox; `index` is its place in `spec.mounts`, fixed for its life."""

    index: int = Field(ge=0)
    axon_id: str
    protocol: str


class DevboxBinding(Wire):
    """A Devbox resource as the operator declares it to the journal.

    `held`: the owner's `operatingMode: Suspended`; no event wakes it (W5). `wake_on_event`:
    `lifecycle.resumeTriggers.axonEvent`. Going from held to not held asks for a resume.
    """

    namespace: str
    name: str
    mounts: list[MountBinding] = []
    wake_on_event: bool = True
    held: bool = False


class OpenTurn(Wire):
    """A turn that has its `turn.started` but no terminal yet."""

    turn_id: str
    trigger: int
    started_sequence: int


class MountView(MountBinding):
    """State of one mount; see ARCHITECTURE.md, "The three counters"."""

    epoch: int
    attached: bool
    cursor: int
    control_cursor: int
    head: int
    unread: bool
    open_turn: OpenTurn | None = None
    last_activity_ms: int


class WantedBy(Wire):
    """The first unread event that wants the devbox awake."""

    axon_id: str
    sequence: int


class DevboxView(DevboxBinding):
    """The journal's view of a devbox. `wanted`: it is asleep and must run (W1)."""

    uid: str
    generation: int
    asleep: bool
    wanted: bool
    wanted_by: WantedBy | None = None
    mount_views: list[MountView] = []


class DevboxViews(Wire):
    devboxes: list[DevboxView]


class DevboxFailure(Wire):
    """What happened to a devbox, told on its axons as `devbox.failed`. `reason` is one of the
    condition Ready. Reason and time say which failure it is: told again, it is not appended."""

    reason: str
    message: str
    time_ms: int


class SleepReason(StrEnum):
    """Why a sleep was granted or refused; shown to users in the Devbox's conditions."""

    IDLE = "Idle"
    FORCED = "Forced"
    ALREADY_ASLEEP = "AlreadyAsleep"
    UNREAD_EVENT = "UnreadEvent"
    TURN_OPEN = "TurnOpen"
    EXECUTION_RUNNING = "ExecutionRunning"
    STARTING = "Starting"
    RECENT_ACTIVITY = "RecentActivity"
    LEASE_VALID = "LeaseValid"


class SleepRequest(Wire):
    """May this devbox sleep? `force` closes it at once; `cause` is told on the journal."""

    generation: int
    idle_seconds: float = Field(ge=0)
    force: bool = False
    cause: str = "idle"


class SleepAnswer(Wire):
    """Granted: epochs are closed and `generation` is the new one. Refused: ask again at
    `look_again_ms` (milliseconds since the epoch), the earliest moment that could be granted."""

    granted: bool
    generation: int
    reason: SleepReason
    message: str
    look_again_ms: int | None = None


# --- broker


class AttachRequest(Wire):
    """A broker takes its mount. `generation` is the one its pod was created for."""

    generation: int
    pod_uid: str = ""


class AttachAnswer(Wire):
    """What a broker needs to go on. An open turn of an older epoch was closed with `turn.failed`
    in the same transaction; `closed_turn` names it."""

    axon_id: str
    epoch: int
    cursor: int
    control_cursor: int
    head: int
    state: dict[str, Any] = {}
    closed_turn: OpenTurn | None = None


class AppendEvent(Wire):
    """A broker's event: AGENT_EVENT or SYSTEM_EVENT, nothing else."""

    origin: Literal[Origin.AGENT, Origin.SYSTEM]
    source: str = "broker"
    event_type: str
    payload: str


class TurnStarted(Wire):
    """The batch holds this turn's `turn.started` at `events[event_index]`."""

    kind: Literal["started"] = "started"
    turn_id: str
    trigger: int
    event_index: int = Field(ge=0)


class TurnEnded(Wire):
    """The batch holds this turn's terminal at `events[event_index]`."""

    kind: Literal["ended"] = "ended"
    turn_id: str
    event_index: int = Field(ge=0)


TurnMark = Annotated[TurnStarted | TurnEnded, Field(discriminator="kind")]


class AppendRequest(Wire):
    """One transaction of a mount: events, cursors, state and turn marks, all or nothing.

    `batch` counts 1, 2, 3 … within the epoch; a repeated batch gets the first answer and appends
    nothing. `turn_marks` come in the order of their events. Cursors never go back.
    """

    epoch: int
    batch: int = Field(ge=1)
    events: list[AppendEvent] = Field(default=[], max_length=EVENTS_PER_APPEND_MAX)
    cursor: int | None = None
    control_cursor: int | None = None
    state: dict[str, Any] | None = None
    turn_marks: list[TurnMark] = []


class AppendAnswer(Wire):
    """`first_sequence`..`last_sequence` of the batch's events on this axon (equal to `head + 1` and
    `head` when the batch had none). Other events may lie before and after, never between."""

    first_sequence: int
    last_sequence: int


class ExecutingReport(Wire):
    """Whether the sidecar of this generation's pod has executions under way (W3)."""

    generation: int
    executing: bool


class HomeReport(Wire):
    """Whether the home volume of this generation's pod is full."""

    generation: int
    full: bool
    size_bytes: int


class CallFailed(Wire):
    """Why the sidecar did not do what it was asked."""

    code: str
    message: str


class HandedOn(Wire):
    """A call to a sidecar that one replica of the API server hands on to another."""

    op: str
    members: dict[str, Any] = {}


class CallAnswer(Wire):
    """The sidecar's answer to a call: one of the two."""

    ok: dict[str, Any] | None = None
    error: CallFailed | None = None


class ErrorBody(Wire):
    """Every error answer: a machine's word and a sentence for people with the next step."""

    code: str
    message: str


FENCED = "fenced"
"""`code` of the 409 that tells a broker that it was replaced: stop, append nothing more."""
