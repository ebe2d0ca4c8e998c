"""Conditions, and the catalogue of their reasons: what each means and what a person does about it.

Types and reasons are API: they are added to, never renamed or reused. docs/conditions.md is
generated from this module. Every reason carries `meaning` and `action`, so that the operator can
put the same words into a condition's message as the page has.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final, Literal, Self

from pydantic import Field

from ranvier.resources.base import Count, Model, Time, list_map


class ConditionType(StrEnum):
    """The conditions that Ranvier writes."""

    READY = "Ready"
    SUSPENDED = "Suspended"
    ACCEPTED = "Accepted"


class Documented(StrEnum):
    """A reason with its sentence of meaning and the next step."""

    meaning: str
    action: str

    def __new__(cls, value: str, meaning: str, action: str) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        member.action = action
        return member


NOTHING = "Nothing to do."
NO_RETRY = "It is tried again by itself; nothing to do unless it stays."
SEE_API_SERVER = f"See that the API server's pod runs and its volume is bound. {NO_RETRY}"

_SPEC_INVALID = (
    "SpecInvalid",
    "The stored resource can not be read by this operator; an older schema let it in.",
    "Correct the field that the message names.",
)


class ReadyReason(Documented):
    """Can its agent take a turn now? True only with `AgentReady`."""

    AGENT_READY = (
        "AgentReady",
        "The pod runs and every broker has attached to its axon.",
        NOTHING,
    )
    STARTING = (
        "Starting",
        "The pod was asked for and is not ready yet; the message names the step it waits for.",
        "Wait. If it stays, the message and the pod's events name the step.",
    )
    SUSPENDED = (
        "Suspended",
        "The pod is gone, the home volume is kept. The `Suspended` condition says why.",
        "Publish an event to a mounted axon, or set `operatingMode: Running` if it is held.",
    )
    SUSPENDING = (
        "Suspending",
        "The sleep is decided and the pod is ending.",
        "Wait. An event that comes now wakes the devbox again once the pod is gone.",
    )
    SHUT_DOWN = (
        "ShutDown",
        "The devbox ended for good; `status.shutdownReason` says why. No event wakes it.",
        "Delete it, or make a new devbox with the same axon: the queue goes on where it stopped.",
    )
    WAITING_FOR_AXON = (
        "WaitingForAxon",
        "A mounted axon does not exist yet or has no journal yet.",
        "Apply the Axon that the message names, or correct the reference in a new devbox.",
    )
    BLUEPRINT_NOT_FOUND = (
        "BlueprintNotFound",
        "`blueprintName` names no Blueprint of this namespace.",
        "Apply the Blueprint, or correct the name.",
    )
    PROTOCOL_UNSUPPORTED = (
        "ProtocolUnsupported",
        "The protocol of a mount is known to the API but not spoken by this version.",
        "Use a protocol that the message lists, or upgrade.",
    )
    SPEC_INVALID = _SPEC_INVALID
    JOURNAL_UNREACHABLE = (
        "JournalUnreachable",
        "The operator can not reach Ranvier's API server, which decides about sleep and wake.",
        SEE_API_SERVER,
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        "The node can not pull an image of the pod.",
        "Check the image's name, `imagePullSecrets` and the registry. Kubernetes keeps trying.",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "No node can take the pod; the message is the scheduler's.",
        "Free or add capacity, or change `resources`, `nodeSelector` or `tolerations`.",
    )
    VOLUME_PENDING = (
        "VolumePending",
        "The home volume is not bound or not mounted yet.",
        "Check the claim's events, its storage class and its zone.",
    )
    POD_REFUSED = (
        "PodRefused",
        "The API server refused the pod or its volume claim: a quota, an admission policy.",
        "The message is the API server's. Change what it names. " + NO_RETRY,
    )
    POD_NOT_OWNED = (
        "PodNotOwned",
        "A pod or a claim of the name that this devbox needs exists and belongs to something else.",
        "Delete or rename the foreign object; Ranvier never takes over what it did not make.",
    )
    QUOTA_EXCEEDED = (
        "QuotaExceeded",
        "A quota of the namespace leaves no room for the pod or its volume claim.",
        "Raise the quota, or suspend or delete other devboxes of the namespace. " + NO_RETRY,
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "A container of the pod used more memory than it may and was killed.",
        "Raise `resources.limits.memory`, or let the agent do less at once. " + NO_RETRY,
    )
    OUT_OF_DISK = (
        "OutOfDisk",
        "The pod was evicted: it, or its node, ran out of local disk. A new one follows.",
        "Write to the home directory, a volume of its own, and not elsewhere in the container.",
    )
    HOME_FULL = (
        "HomeFull",
        "The home volume is full: nothing more can be written to it.",
        "Remove files from it, commands still run; or raise `home.size` where the storage class "
        "can grow. It is ready again by itself when there is room.",
    )
    EVICTED = (
        "Evicted",
        "The pod had to leave its node: a drain, a shortage, a more urgent pod. A new one follows.",
        "Set `resources.requests` to what the agent needs, so that a shortage meets others first. "
        + NO_RETRY,
    )
    NODE_LOST = (
        "NodeLost",
        "The pod's node stopped, or answers no more. A new pod follows elsewhere.",
        "Look at the node. " + NO_RETRY,
    )
    POD_FAILED = (
        "PodFailed",
        "The pod ended for another reason, which the message names. A new one follows.",
        "Do what the message says. " + NO_RETRY,
    )
    CRASH_LOOP = (
        "CrashLoop",
        "A container of the pod ends again and again right after its start.",
        "Read its log: `kubectl logs POD -c devbox` or `-c broker`.",
    )


_SOON: Final = 60.0
"""A registry, a quota, a Blueprint or an Axon that is a little late is no failure yet: SDKs wait
for 120 s, and of two objects that were made together the later one may be heard of first."""
_SLOW: Final = 600.0
"""A new node, with its autoscaler, takes minutes."""

FAILS_AFTER_SECONDS: Final[Mapping[ReadyReason, float]] = {
    ReadyReason.SPEC_INVALID: 0.0,
    ReadyReason.PROTOCOL_UNSUPPORTED: 0.0,
    ReadyReason.POD_NOT_OWNED: 0.0,
    ReadyReason.CRASH_LOOP: 0.0,
    ReadyReason.HOME_FULL: 0.0,
    ReadyReason.BLUEPRINT_NOT_FOUND: _SOON,
    ReadyReason.WAITING_FOR_AXON: _SOON,
    ReadyReason.IMAGE_PULL_FAILED: _SOON,
    ReadyReason.POD_REFUSED: _SOON,
    ReadyReason.QUOTA_EXCEEDED: _SOON,
    ReadyReason.OUT_OF_MEMORY: _SOON,
    ReadyReason.OUT_OF_DISK: _SOON,
    ReadyReason.EVICTED: _SOON,
    ReadyReason.NODE_LOST: _SOON,
    ReadyReason.POD_FAILED: _SOON,
    ReadyReason.UNSCHEDULABLE: _SLOW,
    ReadyReason.VOLUME_PENDING: _SLOW,
}
"""How long a devbox may not be ready for a reason before that is called a failure, by the REST API
and on its axons. Reasons that are not here never are: the start goes on, or Ranvier itself has to
be mended."""


class SuspendedReason(Documented):
    """Is the pod gone on purpose, and who decided?"""

    AWAKE = (
        "Awake",
        "False: the devbox runs, or is starting.",
        NOTHING,
    )
    WAKE_REQUESTED = (
        "WakeRequested",
        "False: an unread event woke it; the message names axon and sequence.",
        NOTHING,
    )
    SUSPENDING = (
        "Suspending",
        "False: the sleep is granted and the pod is ending.",
        NOTHING,
    )
    IDLE = (
        "Idle",
        "True: nothing happened for `afterIdle.idleTimeSeconds`.",
        "Publish an event to wake it; raise `idleTimeSeconds` if it sleeps too early.",
    )
    OWNER_REQUESTED = (
        "OwnerRequested",
        "True: `operatingMode: Suspended` holds it. No event breaks the hold.",
        "Set `operatingMode: Running`.",
    )
    REQUESTED = (
        "Requested",
        "True: a suspend call of the REST API asked for it. An event or a resume call wakes it.",
        "Publish an event, or call resume.",
    )
    SHUT_DOWN = (
        "ShutDown",
        "True: the devbox ended for good.",
        "Make a new devbox with the same axon.",
    )


class AcceptedReason(Documented):
    """Does everything exist that the spec refers to?"""

    RESOLVED = ("Resolved", "True: blueprint and axons were found.", NOTHING)
    AXON_NOT_FOUND = (
        "AxonNotFound",
        "`axonRef` names no Axon of this namespace, or `axonId` no axon of the journal.",
        "Apply the Axon. The reference itself can not change: make a new devbox to correct it.",
    )
    AXON_NOT_READY = (
        "AxonNotReady",
        "The Axon exists, its journal does not yet.",
        "See the Axon's own `Ready` condition. " + NO_RETRY,
    )
    BLUEPRINT_NOT_FOUND = (
        "BlueprintNotFound",
        "`blueprintName` names no Blueprint of this namespace.",
        "Apply the Blueprint, or correct the name.",
    )
    PROTOCOL_UNSUPPORTED = (
        "ProtocolUnsupported",
        "The protocol of a mount is known to the API but not spoken by this version.",
        "Use a protocol that the message lists, or upgrade.",
    )
    SPEC_INVALID = _SPEC_INVALID


class AxonReason(Documented):
    """Is there a journal behind this resource?"""

    BOUND = ("Bound", "True: the journal holds this axon; `status.axonId` names it.", NOTHING)
    JOURNAL_UNREACHABLE = (
        "JournalUnreachable",
        "The operator can not reach Ranvier's API server, which holds the journal.",
        SEE_API_SERVER,
    )
    JOURNAL_REFUSED = (
        "JournalRefused",
        "The journal answered with an error; the message is its own.",
        "Do what the message says. A damaged journal is reported, never truncated.",
    )
    SPEC_INVALID = _SPEC_INVALID


class BlueprintReason(Documented):
    """Can devboxes be made from it?"""

    USABLE = ("Usable", "True: devboxes may name it.", NOTHING)
    SPEC_INVALID = _SPEC_INVALID


CATALOGUE: Final[tuple[tuple[str, ConditionType, type[Documented]], ...]] = (
    ("Devbox", ConditionType.READY, ReadyReason),
    ("Devbox", ConditionType.SUSPENDED, SuspendedReason),
    ("Devbox", ConditionType.ACCEPTED, AcceptedReason),
    ("Axon", ConditionType.READY, AxonReason),
    ("Blueprint", ConditionType.READY, BlueprintReason),
)
"""Every condition that exists: kind, type and the reasons it can have."""


class Condition(Model):
    """One observed fact about a resource, as of `observedGeneration` of its spec."""

    type: Annotated[str, Field(max_length=316)]
    """What the condition is about, `Ready` for example. docs/conditions.md lists them all."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds: True, False or Unknown."""
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    """One word for machines. The words are API and stand in docs/conditions.md with what to do."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """A sentence for people."""
    observed_generation: Count = 0
    """The `metadata.generation` that this condition was computed for."""
    last_transition_time: Time
    """When `status` last changed."""


Conditions = Annotated[
    tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))
]
"""A resource's conditions, one of each type."""
