"""One devbox at one moment: the facts that all cases of the decision start from. PURE."""

from dataclasses import dataclass

from ranvier.internal import DeletionPolicy
from ranvier.resources import ConditionType, Devbox, OperatingMode, SuspendedReason

from ranvier_operator.conditions import Suspended, find, suspended_reason
from ranvier_operator.manifests.volume import adjustment
from ranvier_operator.observed import Memory, PodSeen, Seen, VolumeSeen
from ranvier_operator.plans import Action, ChangeVolume, DeletePod
from ranvier_operator.resolution import Resolution
from ranvier_operator.settings import Settings

STUCK_SECONDS = 30.0
"""How long after its promised end a pod may linger before it is deleted by force. By then its node
is lost, and its broker can append nothing more once the next one attached (T5)."""
END_SLACK_SECONDS = 1.0
END_RECHECK_SECONDS = 5.0
"""A pod whose promised end has passed is looked at, in the cluster itself, this often."""
RECHECK_SECONDS = 30.0
"""Second look at what should tell of its changes by itself, in case an event was lost."""


@dataclass(frozen=True, slots=True)
class Case:
    """What `decide` was given, and what follows from it at once."""

    devbox: Devbox
    resolution: Resolution
    seen: Seen
    settings: Settings
    now: float

    @property
    def pod(self) -> PodSeen | None:
        return self.seen.pod

    @property
    def volume(self) -> VolumeSeen | None:
        return self.seen.volume

    @property
    def memory(self) -> Memory:
        return self.seen.memory

    @property
    def held(self) -> bool:
        """The owner wants it asleep, whatever happens (W5)."""
        return self.devbox.spec.operating_mode is OperatingMode.SUSPENDED

    @property
    def keeps_volume_for_good(self) -> bool:
        home = self.devbox.spec.home
        return home is not None and home.deletion_policy is DeletionPolicy.RETAIN

    @property
    def known_generation(self) -> int:
        """The newest generation that this operator has heard of, without asking the journal."""
        grant = self.memory.grant
        return max(
            self.devbox.status.sleep_generation or 0,
            grant.generation if grant is not None else 0,
            (self.pod.generation or 0) if self.pod is not None else 0,
        )

    def awake(self, generation: int | None) -> Suspended:
        """Suspended is False; the call that ended this generation's sleep says why."""
        wake = self.devbox.status.wake
        if wake is not None and wake.generation == generation:
            detail = f"Event {wake.sequence} of {wake.axon_id} woke it."
            return Suspended(SuspendedReason.WAKE_REQUESTED, detail)
        return Suspended(SuspendedReason.AWAKE)

    def as_written(self) -> Suspended:
        """Suspended as it stands in the status, for cases that say nothing about it."""
        written = find(self.devbox.status.conditions, ConditionType.SUSPENDED)
        reason = suspended_reason(written.reason) if written is not None else None
        if written is None or reason is None:
            return Suspended(SuspendedReason.AWAKE)
        return Suspended(reason, written.message)

    def end_pod(self) -> tuple[Action, ...]:
        """Ask for the pod's end once; take its name away from it when that does not come."""
        pod = self.pod
        if pod is None:
            return ()
        if pod.gone_by is None:
            return (DeletePod(pod.name, pod.uid),)
        if self.now >= pod.gone_by + STUCK_SECONDS:
            return (DeletePod(pod.name, pod.uid, forced=True),)
        return ()

    def end_again(self) -> float | None:
        """When to look at an ending pod again, should nobody tell of its end."""
        if self.pod is None:
            return None
        if self.pod.gone_by is None:
            return RECHECK_SECONDS
        left = self.pod.gone_by - self.now
        return left + END_SLACK_SECONDS if left > 0 else END_RECHECK_SECONDS

    def adjust_volume(self) -> tuple[Action, ...]:
        """The home volume follows its spec: it may grow, and its owner may keep it or not."""
        volume, wanted = self.volume, self.resolution.pod
        if volume is None or wanted is None or volume.deleting:
            return ()
        patch = adjustment(self.devbox, wanted.home, volume)
        return (ChangeVolume(volume.name, patch),) if patch is not None else ()
