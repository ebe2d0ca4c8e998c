"""From a draft to a plan: the whole status, and of it only what differs. PURE.

A devbox whose status is right costs no write, however often it is looked at. `status.wake` belongs
to the journal's waker and is never in a patch of ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil
from typing import Any, Final

from pydantic import ValidationError
from ranvier.resources import (
    AcceptedReason,
    ConditionType,
    Devbox,
    DevboxStatus,
    ObjectMeta,
    ReadyReason,
    ShutdownReason,
    SuspendedReason,
)

from ranvier_operator.conditions import (
    PROBLEMS,
    Ready,
    Suspended,
    conditions,
    find,
    suspended_reason,
    unresolved,
)
from ranvier_operator.failures import Standing, becomes_failure_in, newest, untold
from ranvier_operator.naming import pod_name, volume_name
from ranvier_operator.observed import JournalUnknown, Memory, Seen, moment
from ranvier_operator.plans import (
    Action,
    CreatePod,
    CreateVolume,
    DeletePod,
    Notice,
    Plan,
    TellFailure,
    sooner,
)
from ranvier_operator.resolution import Problem, Resolution

OURS: Final = (
    "observedGeneration",
    "conditions",
    "sleepGeneration",
    "podName",
    "homeVolumeClaimName",
    "image",
    "lastActivityTime",
    "nextCheckTime",
    "shutdownTime",
    "shutdownReason",
    "lastFailure",
)
"""The fields of a Devbox's status that the operator writes."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What one case of the decision says. `keeps`: the written status still holds."""

    actions: tuple[Action, ...] = ()
    ready: Ready = field(default_factory=lambda: Ready(ReadyReason.STARTING))
    suspended: Suspended = field(default_factory=lambda: Suspended(SuspendedReason.AWAKE))
    look_again: float | None = None
    memory: Memory | None = None
    keeps: bool = False
    shuts_down: ShutdownReason | None = None
    sleep_generation: int | None = None
    last_activity: float | None = None
    next_check: float | None = None

    @property
    def ends_pod(self) -> bool:
        return any(isinstance(action, DeletePod) for action in self.actions)


def finish(devbox: Devbox, resolution: Resolution, seen: Seen, draft: Draft, now: float) -> Plan:
    """The plan that a draft comes to."""
    old = devbox.status.manifest()
    memory = draft.memory if draft.memory is not None else seen.memory
    look_again = draft.look_again
    if draft.keeps:
        status = _ended(draft.shuts_down, now)
        notices: tuple[Notice, ...] = ()
    else:
        whole = _status(devbox, resolution, seen, draft, now)
        standing = _standing(devbox, seen, draft, whole)
        failure = newest(standing, now)
        if failure is not None:
            whole["lastFailure"] = failure.manifest()
        look_again = sooner(look_again, becomes_failure_in(standing, now))
        if failure != devbox.status.last_failure:
            look_again = 0  # it is told to the axons once it stands here
        status = difference(old, whole)
        notices = _notices(devbox, draft)
    return Plan(
        actions=(*draft.actions, *_tells(devbox, seen, memory, now)),
        status=status or None,
        notices=notices,
        look_again=look_again,
        memory=memory,
    )


def unreadable(
    metadata: ObjectMeta, status: Mapping[str, Any], error: ValidationError, now: float
) -> dict[str, Any]:
    """The patch for a devbox whose spec can not be read: all else of its status stays."""
    try:
        old = DevboxStatus.model_validate(status)
    except ValidationError:
        old = DevboxStatus()
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    problem = Problem(AcceptedReason.SPEC_INVALID, f"{place}: {first['msg']}.")
    written = find(old.conditions, ConditionType.SUSPENDED)
    reason = suspended_reason(written.reason) if written is not None else None
    new = conditions(
        old.conditions,
        generation=metadata.generation,
        problem=problem,
        ready=unresolved(problem),
        suspended=Suspended(reason or SuspendedReason.AWAKE),
        now=now,
    )
    whole = {
        **old.manifest(),
        "observedGeneration": metadata.generation,
        "conditions": [item.manifest() for item in new],
    }
    return difference(old.manifest(), whole)


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch from `old` to `new`; None removes a field."""
    return {name: new.get(name) for name in OURS if new.get(name) != old.get(name)}


def _status(
    devbox: Devbox, resolution: Resolution, seen: Seen, draft: Draft, now: float
) -> dict[str, Any]:
    """The whole status as it should stand, without what is not there."""
    old, generation = devbox.status, devbox.metadata.generation
    sleeps = draft.sleep_generation
    last_activity = _time(draft.last_activity) if draft.last_activity else None
    whole = {
        "observedGeneration": generation,
        "conditions": [
            item.manifest()
            for item in conditions(
                old.conditions,
                generation=generation,
                problem=resolution.problem,
                ready=draft.ready,
                suspended=draft.suspended,
                now=now,
            )
        ],
        "sleepGeneration": sleeps if sleeps is not None else old.sleep_generation,
        "podName": _pod_name(devbox, seen, draft),
        "homeVolumeClaimName": _volume_name(devbox, seen, draft),
        "image": _image(seen, resolution) or old.image,
        "lastActivityTime": last_activity or old.manifest().get("lastActivityTime"),
        "nextCheckTime": _time(ceil(draft.next_check)) if draft.next_check else None,
        "shutdownTime": old.manifest().get("shutdownTime"),
        "shutdownReason": old.shutdown_reason,
    }
    return {name: value for name, value in whole.items() if value is not None}


def _standing(devbox: Devbox, seen: Seen, draft: Draft, whole: Mapping[str, Any]) -> Standing:
    ready = next(item for item in whole["conditions"] if item["type"] == ConditionType.READY)
    since = moment(ready["lastTransitionTime"]) or 0.0
    is_ours = seen.pod is not None and seen.pod.owner_uid == devbox.metadata.uid
    pod = seen.pod if is_ours else None
    return Standing(draft.ready, since, pod, devbox.status.last_failure)


def _tells(devbox: Devbox, seen: Seen, memory: Memory, now: float) -> tuple[Action, ...]:
    """Only what is written already, and only while the journal knows this devbox."""
    failure = untold(devbox.status.last_failure, memory, now)
    if failure is None or isinstance(seen.journal, JournalUnknown):
        return ()
    return (TellFailure(failure),)


def _ended(reason: ShutdownReason | None, now: float) -> dict[str, Any]:
    if reason is None:
        return {}
    return {"shutdownTime": _time(now), "shutdownReason": reason.value}


def _pod_name(devbox: Devbox, seen: Seen, draft: Draft) -> str | None:
    """The pod as it is after the plan was carried out."""
    if any(isinstance(action, CreatePod) for action in draft.actions):
        return pod_name(devbox.metadata.name)
    if seen.pod is None or seen.pod.owner_uid != devbox.metadata.uid:
        return None
    return seen.pod.name


def _volume_name(devbox: Devbox, seen: Seen, draft: Draft) -> str | None:
    created = any(isinstance(action, CreateVolume) for action in draft.actions)
    return volume_name(devbox.metadata.name) if created or seen.volume is not None else None


def _image(seen: Seen, resolution: Resolution) -> str | None:
    if seen.pod is not None and seen.pod.generation is not None:
        return seen.pod.image
    return resolution.pod.image if resolution.pod is not None else None


def _notices(devbox: Devbox, draft: Draft) -> tuple[Notice, ...]:
    """One Event for each transition that people ask about."""
    old = devbox.status.conditions
    notices = []
    if any(isinstance(action, CreatePod) for action in draft.actions):
        woken = draft.suspended.reason is SuspendedReason.WAKE_REQUESTED
        text = draft.suspended.detail or "The pod was created."
        notices.append(Notice("Normal", "Woken" if woken else "Created", text))
    was_asleep = find(old, ConditionType.SUSPENDED)
    if draft.suspended.holds and (was_asleep is None or was_asleep.status != "True"):
        text = draft.suspended.detail or draft.suspended.reason.meaning
        notices.append(Notice("Normal", "Suspended", f"{draft.suspended.reason}: {text}"))
    was_ready = find(old, ConditionType.READY)
    reason = draft.ready.reason
    if reason in PROBLEMS and (was_ready is None or was_ready.reason != reason):
        text = draft.ready.detail or reason.meaning
        notices.append(Notice("Warning", str(reason), text))
    return tuple(notices)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
