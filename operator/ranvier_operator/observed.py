"""What was seen of a devbox's pod, home volume and journal, as values that decisions can be made
on.

Kubernetes' JSON is read here once, leniently: what is missing counts as "not yet". PURE.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from ranvier.internal import DevboxView
from ranvier.resources import Failure, ReadyReason, SuspendedReason

from ranvier_operator.naming import GENERATION_ANNOTATION, LABEL_DEVBOX

OOM_KILLED: Final = "OOMKilled"
"""Kubernetes' word for a container that was killed because it used too much memory."""
SAID_CHARACTERS_MAX: Final = 600
"""Of a container's last words; a condition's message has room for them and for its remedy."""
_TERMINAL_PHASES: Final = frozenset({"Failed", "Succeeded"})


@dataclass(frozen=True, slots=True)
class ContainerSeen:
    """One container of the pod. `waiting` and `last_end` are (reason, message) of its states."""

    name: str
    image: str
    ready: bool
    started: bool
    restarts: int
    waiting: tuple[str, str] | None
    last_end: str | None
    ended_at: float | None = None
    """When it ended last, if it ever did."""

    @property
    def out_of_memory(self) -> bool:
        """It was killed for its memory the last time it ended."""
        return (self.last_end or "").startswith(OOM_KILLED)


@dataclass(frozen=True, slots=True)
class Disruption:
    """Kubernetes ends the pod: its condition DisruptionTarget."""

    reason: str
    message: str
    time: float


@dataclass(frozen=True, slots=True)
class PodSeen:
    """The pod of the devbox's name. `generation` is None on a pod that is not ours."""

    name: str
    uid: str
    owner_uid: str | None
    generation: int | None
    image: str | None
    phase: str
    ready: bool
    created_at: float
    started_at: float | None
    end_reason: str
    scheduled: bool
    unschedulable: str | None
    containers: tuple[ContainerSeen, ...]
    gone_by: float | None
    """When it should be gone, once its deletion was asked for."""
    disruption: Disruption | None = None
    """Why Kubernetes itself asked for its end."""

    @property
    def deleting(self) -> bool:
        return self.gone_by is not None

    @property
    def terminal(self) -> bool:
        """It ended and Kubernetes will not start it again."""
        return self.phase in _TERMINAL_PHASES

    @property
    def exited(self) -> bool:
        """Its devbox container ended by itself, with whatever exit code: not evicted, not out of
        memory, not because its end was asked for."""
        if not self.terminal or self.deleting or self.end_reason:
            return False
        ends = [item.last_end or "" for item in self.containers if item.name == "devbox"]
        return any(end.startswith(("Completed,", "Error,")) for end in ends)

    @property
    def running(self) -> bool:
        return self.phase == "Running" and not self.deleting

    @property
    def ended(self) -> bool:
        """By itself or by Kubernetes, not because we asked for it."""
        return self.terminal or self.disruption is not None

    @property
    def ended_at(self) -> float:
        """When it ended, as far as is told; else when it was made."""
        if self.disruption is not None:
            return self.disruption.time
        ends = [item.ended_at for item in self.containers if item.ended_at is not None]
        return max(ends, default=self.created_at)


@dataclass(frozen=True, slots=True)
class VolumeSeen:
    """The claim of the home directory's name."""

    name: str
    uid: str
    owner_uid: str | None
    devbox_label: str | None
    phase: str
    size: str | None
    deleting: bool


@dataclass(frozen=True, slots=True)
class JournalUnknown:
    """The journal was not asked, or gave no answer; then `since` is when that began."""

    since: float | None = None
    message: str = ""


JournalSeen: TypeAlias = DevboxView | JournalUnknown


@dataclass(frozen=True, slots=True)
class Grant:
    """The last sleep that this operator was granted: which generation it began, and why."""

    generation: int
    reason: SuspendedReason


@dataclass(frozen=True, slots=True)
class Memory:
    """What the operator remembers of a devbox between two looks. Losing it costs a question, never
    a promise: all that must last stands in the journal and in the resource's status."""

    asks_at: float | None = None
    """When the journal is asked next whether the devbox may sleep."""
    asks_for: float | None = None
    """The idle time that `asks_at` was computed for."""
    failures: int = 0
    """Starts that failed in a row."""
    failed_pod: str = ""
    """UID of the pod that was counted last."""
    retry_at: float | None = None
    """No pod is made before this moment."""
    trouble: tuple[ReadyReason, str] | None = None
    """What stood in the way of the last start."""
    grant: Grant | None = None
    forgotten: bool = False
    """The journal was told that this devbox ended for good."""
    told: Failure | None = None
    """The failure that its axons were told of last."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One look at everything that a decision about a devbox depends on, besides its resource."""

    pod: PodSeen | None = None
    volume: VolumeSeen | None = None
    journal: JournalSeen = field(default_factory=JournalUnknown)
    memory: Memory = field(default_factory=Memory)


def moment(text: str | None) -> float | None:
    """Seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp() if text else None


def controller_uid(metadata: Mapping[str, Any]) -> str | None:
    """UID of the object that manages this one."""
    for reference in metadata.get("ownerReferences") or ():
        if reference.get("controller"):
            return str(reference["uid"])
    return None


def pod_seen(body: Mapping[str, Any]) -> PodSeen:
    """A pod as it came from the API server."""
    metadata, status = body["metadata"], body.get("status") or {}
    annotations = metadata.get("annotations") or {}
    generation = annotations.get(GENERATION_ANNOTATION, "")
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    containers = (body.get("spec") or {}).get("containers") or [{}]
    return PodSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=controller_uid(metadata),
        generation=int(generation) if generation.isdecimal() else None,
        image=containers[0].get("image"),
        phase=status.get("phase") or "Pending",
        ready=conditions.get("Ready", {}).get("status") == "True",
        created_at=moment(metadata.get("creationTimestamp")) or 0.0,
        started_at=moment(status.get("startTime")),
        end_reason=": ".join(filter(None, (status.get("reason"), status.get("message")))),
        scheduled=scheduled.get("status") == "True",
        unschedulable=(
            scheduled.get("message", "")
            if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable"
            else None
        ),
        containers=tuple(
            _container_seen(item)
            for part in ("initContainerStatuses", "containerStatuses")
            for item in status.get(part) or ()
        ),
        gone_by=moment(metadata.get("deletionTimestamp")),
        disruption=_disruption(conditions.get("DisruptionTarget", {})),
    )


def _disruption(item: Mapping[str, Any]) -> Disruption | None:
    if item.get("status") != "True":
        return None
    time = moment(item.get("lastTransitionTime")) or 0.0
    return Disruption(item.get("reason", ""), item.get("message", ""), time)


def _container_seen(item: Mapping[str, Any]) -> ContainerSeen:
    waiting = (item.get("state") or {}).get("waiting")
    ended = (item.get("state") or {}).get("terminated") or (item.get("lastState") or {}).get(
        "terminated"
    )
    return ContainerSeen(
        name=item["name"],
        image=item.get("image", ""),
        ready=bool(item.get("ready")),
        started=bool(item.get("started")),
        restarts=int(item.get("restartCount", 0)),
        waiting=(waiting.get("reason", ""), waiting.get("message", "")) if waiting else None,
        last_end=_end(ended) if ended else None,
        ended_at=moment(ended.get("finishedAt")) if ended else None,
    )


def _end(ended: Mapping[str, Any]) -> str:
    """How it ended, and its last words: a sentence that the start command left."""
    end = f"{ended.get('reason') or 'Error'}, exit code {ended.get('exitCode', '?')}"
    said = " ".join(str(ended.get("message") or "").split())[:SAID_CHARACTERS_MAX]
    return f"{end}: {said}".rstrip(".") if said else end


def volume_seen(body: Mapping[str, Any]) -> VolumeSeen:
    """A claim as it came from the API server."""
    metadata, status = body["metadata"], body.get("status") or {}
    requests = ((body.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return VolumeSeen(
        name=metadata["name"],
        uid=metadata["uid"],
        owner_uid=controller_uid(metadata),
        devbox_label=(metadata.get("labels") or {}).get(LABEL_DEVBOX),
        phase=status.get("phase") or "Pending",
        size=requests.get("storage"),
        deleting=bool(metadata.get("deletionTimestamp")),
    )
