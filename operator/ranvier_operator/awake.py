"""A devbox that shall run: exactly one pod, of the right generation, made again when it fails.
PURE."""

from dataclasses import replace
from typing import Final

from ranvier.resources import ReadyReason

from ranvier_operator import troubles
from ranvier_operator.case import RECHECK_SECONDS, Case
from ranvier_operator.conditions import SLOW_START_SECONDS, Ready, ready_of, unresolved
from ranvier_operator.manifests.pod import devbox_pod
from ranvier_operator.manifests.volume import home_claim
from ranvier_operator.observed import Memory, PodSeen
from ranvier_operator.plans import Action, CreatePod, CreateVolume
from ranvier_operator.status import Draft

STABLE_SECONDS: Final = 60.0
"""A pod that is ready and this old has started well; failures before it are history."""
RETRY_SECONDS_MIN: Final = 5.0
RETRY_SECONDS_MAX: Final = 300.0
"""Pauses between starts that fail in a row double between these; five minutes is Kubernetes' own
longest pause for a container."""


_REFUSALS: Final = frozenset({ReadyReason.POD_REFUSED, ReadyReason.QUOTA_EXCEEDED})


def awake(case: Case, generation: int) -> Draft:
    """What it takes to have it running in this generation."""
    pod = case.pod
    draft = _without_pod(case, generation) if pod is None else _with_pod(case, pod, generation)
    return replace(draft, sleep_generation=generation or None, suspended=case.awake(generation))


def failed(memory: Memory, trouble: tuple[ReadyReason, str], now: float) -> Memory:
    """One more failed start. A pod that ended is replaced at once the first time; a pod that was
    refused is not asked for at once again, since somebody has to change something first."""
    earlier = memory.failures - (0 if trouble[0] in _REFUSALS else 1)
    pause = RETRY_SECONDS_MIN * 2.0 ** min(earlier, 10) if earlier >= 0 else 0.0
    return replace(
        memory,
        failures=memory.failures + 1,
        retry_at=now + min(pause, RETRY_SECONDS_MAX),
        trouble=trouble,
    )


def _without_pod(case: Case, generation: int) -> Draft:
    problem, wanted, memory, volume = (
        case.resolution.problem,
        case.resolution.pod,
        case.memory,
        case.volume,
    )
    if wanted is None:
        ready = unresolved(problem) if problem else Ready(ReadyReason.STARTING)
        return Draft(ready=ready, look_again=RECHECK_SECONDS)
    if memory.retry_at is not None and memory.retry_at > case.now:
        return Draft(
            ready=_trouble(memory),
            look_again=memory.retry_at - case.now,
            next_check=memory.retry_at,
        )
    if volume is not None and volume.deleting:
        detail = f"Claim {volume.name} is being deleted; a new one follows."
        ready = Ready(ReadyReason.VOLUME_PENDING, detail)
        return Draft(ready=ready, look_again=RECHECK_SECONDS)
    claim: tuple[Action, ...] = case.adjust_volume()
    if volume is None:
        claim = (CreateVolume(home_claim(case.devbox, wanted.home)),)
    pod = devbox_pod(case.devbox, wanted, generation, case.settings)
    return Draft(actions=(*claim, CreatePod(pod)), look_again=SLOW_START_SECONDS)


def _with_pod(case: Case, pod: PodSeen, generation: int) -> Draft:
    if not pod.deleting and (pod.generation or 0) >= generation:
        return _failed(case, pod) if pod.terminal else _running(case, pod)
    ready = Ready(ReadyReason.STARTING, f"The old pod {pod.name} is ending; a new one follows.")
    if case.memory.failed_pod == pod.uid:
        ready = _trouble(case.memory)
    elif pod.disruption is not None:
        ready = Ready(*troubles.of_disruption(pod.name, pod.disruption))
    return Draft(actions=case.end_pod(), ready=ready, look_again=case.end_again())


def _failed(case: Case, pod: PodSeen) -> Draft:
    """Evicted, out of disk, its node gone: Kubernetes will not start it again, so we do."""
    memory = case.memory
    if memory.failed_pod != pod.uid:
        memory = failed(memory, troubles.of_end(pod), case.now)
        memory = replace(memory, failed_pod=pod.uid)
    return Draft(
        actions=case.end_pod(),
        ready=_trouble(memory),
        look_again=case.end_again(),
        memory=memory,
    )


def _running(case: Case, pod: PodSeen) -> Draft:
    ready = _full(case, pod) or ready_of(pod, case.volume, case.now)
    age = case.now - pod.created_at
    memory = case.memory
    again: float | None = None
    if not pod.ready:
        again = SLOW_START_SECONDS - age if age < SLOW_START_SECONDS else RECHECK_SECONDS
    elif memory.failures and age < STABLE_SECONDS:
        again = STABLE_SECONDS - age
    elif memory.failures:
        memory = replace(memory, failures=0, failed_pod="", retry_at=None, trouble=None)
    return Draft(actions=case.adjust_volume(), ready=ready, look_again=again, memory=memory)


def _full(case: Case, pod: PodSeen) -> Ready | None:
    """The pod's sidecar says that nothing more can be written to the home volume."""
    told = case.devbox.status.home_full
    if told is None or told.generation != pod.generation or not pod.running:
        return None
    return Ready(ReadyReason.HOME_FULL, f"The home volume of {told.size} is full.")


def _trouble(memory: Memory) -> Ready:
    reason, text = memory.trouble or (ReadyReason.POD_FAILED, "")
    return Ready(reason, text)
