"""The decision: a devbox, and what was seen around it, to a plan. PURE.

`decide` finds out which case this is; `awake` and `asleep` say in a `Draft` what to do and what the
conditions say; `status.finish` makes the plan of it. Always true here:

- the spec is never written (W5), and no action touches an object that the devbox does not own;
- a pod of an older generation goes before another one comes, and whether one is wanted is looked at
  again after it went (W4);
- what is not final says when it is looked at again (W6); deciding twice changes nothing.
"""

from dataclasses import replace
from typing import Final

from ranvier.internal import DevboxView, SleepRequest
from ranvier.resources import (
    ConditionType,
    Devbox,
    Operation,
    ReadyReason,
    ShutdownReason,
    SuspendedReason,
)

from ranvier_operator import idleness
from ranvier_operator.asleep import at_rest, resting, shut_down
from ranvier_operator.awake import awake
from ranvier_operator.case import RECHECK_SECONDS, Case
from ranvier_operator.conditions import Ready, Suspended, find, unresolved
from ranvier_operator.manifests.volume import is_ours
from ranvier_operator.observed import JournalUnknown, PodSeen, Seen
from ranvier_operator.plans import AskSleep, Plan, sooner
from ranvier_operator.resolution import Resolution
from ranvier_operator.settings import Settings
from ranvier_operator.status import Draft, finish

JOURNAL_RETRY_SECONDS: Final = 2.0
JOURNAL_PATIENCE_SECONDS: Final = 10.0
"""A journal that is away for less than this is not worth a word: it restarts in less."""


def poked_generation(devbox: Devbox) -> int | None:
    """The generation that the journal's last call wants awake, while the status says it sleeps.

    Evidence enough to make the pod at once: the waker wrote it after it saw, in the journal, this
    generation asleep and an event unread. An older call is history, and one that was followed
    already proves nothing any more.
    """
    wake, status = devbox.status.wake, devbox.status
    if wake is None or wake.generation != status.sleep_generation:
        return None
    if not devbox.spec.lifecycle.resume_triggers.axon_event or status.shutdown_time is not None:
        return None
    written = find(status.conditions, ConditionType.SUSPENDED)
    sleeps = written is not None and (
        written.status == "True" or written.reason == SuspendedReason.SUSPENDING
    )
    return wake.generation if sleeps else None


def decide(
    devbox: Devbox, resolution: Resolution, seen: Seen, settings: Settings, now: float
) -> Plan:
    """What to do about this devbox now."""
    if devbox.metadata.deletion_timestamp is not None:
        return Plan(memory=seen.memory)  # its children go with it, by their owner references
    case = Case(devbox, resolution, seen, settings, now)
    draft = _draft(case)
    if (life := _life_left(case)) is not None and life > 0:
        draft = replace(draft, look_again=sooner(draft.look_again, life))
    return finish(devbox, resolution, seen, draft, now)


def _draft(case: Case) -> Draft:
    ended = _ended(case)
    if ended is not None:
        # The decision is made durable before anything is removed.
        return Draft(keeps=True, shuts_down=ended, look_again=0)
    foreign = _foreign(case)
    if foreign is not None:
        return foreign
    if case.devbox.status.shutdown_time is not None:
        return shut_down(case)
    journal = case.seen.journal
    if isinstance(journal, JournalUnknown):
        return _blind(case, journal)
    # A pod newer than the journal: the journal came back from a backup and will learn from the
    # pod's broker, so its "asleep" is old news.
    behind = case.pod is not None and (case.pod.generation or 0) > journal.generation
    is_asleep = journal.asleep and not behind
    if case.held and not is_asleep:
        return _ask_by_force(max(journal.generation, case.known_generation))
    if case.held or (is_asleep and not journal.wanted):
        return at_rest(case, journal)
    draft = awake(case, journal.generation)
    draft = replace(draft, look_again=sooner(draft.look_again, _keep_alive_left(case)))
    return _until_idle(case, journal, draft)


def _ended(case: Case) -> ShutdownReason | None:
    """Why it shall end for good, when that is not written yet."""
    status, pod = case.devbox.status, case.pod
    if status.shutdown_time is not None:
        return None
    if status.request is not None and status.request.operation is Operation.SHUTDOWN:
        return ShutdownReason.REQUESTED
    if case.devbox.spec.entrypoint is not None and pod is not None and pod.exited:
        return ShutdownReason.ENTRYPOINT_EXITED
    life = _life_left(case)
    if life is not None and life <= 0:
        return ShutdownReason.TTL_EXPIRED
    left = _keep_alive_left(case)
    return ShutdownReason.KEEP_ALIVE_EXPIRED if left is not None and left <= 0 else None


def _life_left(case: Case) -> float | None:
    """Seconds until a devbox has used up its `ttlSeconds`; None where none count any more."""
    ttl, made = case.devbox.spec.lifecycle.ttl_seconds, case.devbox.metadata.creation_timestamp
    if ttl is None or made is None or case.devbox.status.shutdown_time is not None:
        return None
    return made.timestamp() + ttl - case.now


def _keep_alive_left(case: Case) -> float | None:
    """Seconds until a running devbox has used up its `keepAliveSeconds`; None where none count."""
    lifecycle, pod = case.devbox.spec.lifecycle, case.pod
    if lifecycle.keep_alive_seconds is None or lifecycle.after_idle is not None:
        return None
    if pod is None or not pod.running:
        return None
    asked = case.devbox.status.keep_alive_time
    begun = max(pod.started_at or pod.created_at, asked.timestamp() if asked else 0.0)
    return begun + lifecycle.keep_alive_seconds - case.now


def _foreign(case: Case) -> Draft | None:
    """Objects in our place that belong to something else are left alone."""
    pod, volume = case.pod, case.volume
    if pod is not None and pod.owner_uid != case.devbox.metadata.uid:
        detail = f"Pod {pod.name} exists and belongs to something else."
    elif volume is not None and not is_ours(case.devbox, volume):
        detail = f"PersistentVolumeClaim {volume.name} exists and belongs to something else."
    else:
        return None
    ready = Ready(ReadyReason.POD_NOT_OWNED, detail)
    return Draft(ready=ready, suspended=case.as_written(), look_again=RECHECK_SECONDS)


# --- the journal has not spoken


def _blind(case: Case, journal: JournalUnknown) -> Draft:
    """A call to wake is enough to go on; otherwise what is stays as it is."""
    again = None if journal.since is None else JOURNAL_RETRY_SECONDS
    generation = poked_generation(case.devbox)
    if case.pod is not None:
        draft = _blind_with_pod(case, case.pod)
    elif generation is not None and not case.held and case.resolution.binding is not None:
        draft = awake(case, generation)
    else:
        draft = _blind_without_pod(case, journal)
    return replace(draft, look_again=sooner(draft.look_again, again))


def _blind_with_pod(case: Case, pod: PodSeen) -> Draft:
    if (pod.generation or 0) < case.known_generation:
        return Draft(keeps=True, actions=case.end_pod(), look_again=case.end_again())
    if case.held and case.resolution.binding is None and not pod.deleting:
        # The spec can not be declared any more (its Axon is gone), the hold counts all the same.
        return _ask_by_force(case.known_generation)
    return awake(case, pod.generation or 0)


def _blind_without_pod(case: Case, journal: JournalUnknown) -> Draft:
    """What was last known holds, until it lasts too long."""
    problem, suspended = case.resolution.problem, case.as_written()
    if suspended.reason is SuspendedReason.SUSPENDING and case.held:
        return resting(case, Suspended(SuspendedReason.OWNER_REQUESTED))
    if problem is not None:
        ready = unresolved(problem)
    elif suspended.holds or not _lasts(case, journal):
        return Draft(keeps=True)
    else:
        ready = Ready(ReadyReason.JOURNAL_UNREACHABLE, journal.message)
    return Draft(ready=ready, suspended=suspended, look_again=RECHECK_SECONDS)


def _lasts(case: Case, journal: JournalUnknown) -> bool:
    return journal.since is not None and case.now - journal.since >= JOURNAL_PATIENCE_SECONDS


# --- sleep


def _until_idle(case: Case, view: DevboxView, draft: Draft) -> Draft:
    """Idle time over? Then ask for a sleep. Else look again when it could be."""
    after_idle, pod = case.devbox.spec.lifecycle.after_idle, case.pod
    if after_idle is None or pod is None or not pod.running or view.asleep or draft.ends_pod:
        return draft
    idle_seconds = float(after_idle.idle_time_seconds)
    due = idleness.asks_at(idle_seconds, view, pod, case.memory)
    if due > case.now:
        return replace(draft, look_again=sooner(draft.look_again, due - case.now))
    generation = max(view.generation, case.known_generation)
    request = SleepRequest(generation=generation, idle_seconds=idle_seconds)
    return Draft(actions=(AskSleep(request, SuspendedReason.IDLE),), keeps=True)


def _ask_by_force(generation: int) -> Draft:
    """The owner's switch: closed at once, whatever runs."""
    request = SleepRequest(
        generation=generation, idle_seconds=0, force=True, cause="operatingMode is Suspended"
    )
    return Draft(actions=(AskSleep(request, SuspendedReason.OWNER_REQUESTED),), keeps=True)
