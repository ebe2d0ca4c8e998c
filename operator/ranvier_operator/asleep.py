"""A devbox that shall not run: asleep, held by its owner, or shut down for good. PURE."""

from dataclasses import replace

from ranvier.internal import DevboxView
from ranvier.resources import (
    ConditionType,
    OnIdle,
    ReadyReason,
    ShutdownReason,
    SuspendedReason,
)

from ranvier_operator.case import Case
from ranvier_operator.conditions import (
    Ready,
    Suspended,
    asleep_because,
    find,
    suspended_reason,
)
from ranvier_operator.plans import Action, DeleteVolume, Forget
from ranvier_operator.status import Draft


def at_rest(case: Case, view: DevboxView) -> Draft:
    """The journal has it asleep, and nothing wants it awake or its owner holds it."""
    reason = _who_decided(case, view)
    after_idle = case.devbox.spec.lifecycle.after_idle
    ends = after_idle is not None and after_idle.on_idle is OnIdle.SHUTDOWN
    new = case.devbox.status.sleep_generation != view.generation
    if ends and new and reason is SuspendedReason.IDLE:
        # The decision is made durable before anything is removed.
        return Draft(keeps=True, shuts_down=ShutdownReason.IDLE, look_again=0)
    detail = ""
    if reason is SuspendedReason.IDLE and after_idle is not None:
        detail = f"Nothing happened for {after_idle.idle_time_seconds} s."
    activities = [mount.last_activity_ms / 1000 for mount in view.mount_views]
    return replace(
        resting(case, Suspended(reason, detail)),
        sleep_generation=view.generation,
        last_activity=max(activities, default=None),
    )


def resting(case: Case, suspended: Suspended) -> Draft:
    """No pod, or one that is ending."""
    if case.pod is None:
        ready = Ready(ReadyReason.SUSPENDED, asleep_because(suspended))
        return Draft(actions=case.adjust_volume(), ready=ready, suspended=suspended)
    return Draft(
        actions=case.end_pod(),
        ready=Ready(ReadyReason.SUSPENDING),
        suspended=Suspended(SuspendedReason.SUSPENDING),
        look_again=case.end_again(),
    )


def shut_down(case: Case) -> Draft:
    """It ended for good: no pod, no binding, and the volume only if its owner wants to keep it."""
    actions: list[Action] = [] if case.memory.forgotten else [Forget()]
    actions += case.end_pod()
    volume = case.volume
    unwanted = volume is not None and not volume.deleting and not case.keeps_volume_for_good
    if case.pod is None and volume is not None and unwanted:
        actions.append(DeleteVolume(volume.name, volume.uid))
    reason = SuspendedReason.SUSPENDING if case.pod else SuspendedReason.SHUT_DOWN
    return Draft(
        actions=tuple(actions),
        ready=Ready(ReadyReason.SHUT_DOWN),
        suspended=Suspended(reason),
        look_again=case.end_again(),
        memory=replace(case.memory, forgotten=True),
    )


def _who_decided(case: Case, view: DevboxView) -> SuspendedReason:
    """This operator remembers, or wrote it down, or else it was asked through the REST API."""
    if case.held:
        return SuspendedReason.OWNER_REQUESTED
    grant, status = case.memory.grant, case.devbox.status
    if grant is not None and grant.generation == view.generation:
        return grant.reason
    written = find(status.conditions, ConditionType.SUSPENDED)
    if written is not None and status.sleep_generation == view.generation:
        reason = suspended_reason(written.reason)
        if reason in (SuspendedReason.IDLE, SuspendedReason.REQUESTED):
            return reason
    return SuspendedReason.REQUESTED
