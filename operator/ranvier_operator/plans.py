"""What a decision comes to: the counterpart of `observed`. PURE.

`lifecycle.decide` returns a `Plan`, `reconcile` carries it out: actions in their order, then the
status, then the notices. An action names the object it means by UID, so a plan made from a stale
look can not hit another object of the same name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ranvier.internal import SleepRequest
from ranvier.resources import Failure, SuspendedReason

from ranvier_operator.observed import Memory


@dataclass(frozen=True, slots=True)
class CreateVolume:
    """Make the home volume's claim."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ChangeVolume:
    """Merge-patch the claim; the patch holds its UID."""

    name: str
    patch: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeleteVolume:
    """Remove the claim with all its data; only after a shutdown, and only if the policy says so."""

    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class CreatePod:
    """Make the pod."""

    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DeletePod:
    """End the pod. `forced`: it is stuck, its node does not answer; take its name away from it."""

    name: str
    uid: str
    forced: bool = False


@dataclass(frozen=True, slots=True)
class AskSleep:
    """Ask the journal for a sleep; the answer leads to another decision at once."""

    request: SleepRequest
    reason: SuspendedReason


@dataclass(frozen=True, slots=True)
class Forget:
    """Tell the journal that this devbox ended for good."""


@dataclass(frozen=True, slots=True)
class TellFailure:
    """Have the devbox's axons told of a failure that stands in its status."""

    failure: Failure


Action: TypeAlias = (
    CreateVolume
    | ChangeVolume
    | DeleteVolume
    | CreatePod
    | DeletePod
    | AskSleep
    | Forget
    | TellFailure
)


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event: one for each transition, none while nothing changes."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, what to write, and when to look again if nothing happens meanwhile."""

    actions: tuple[Action, ...] = ()
    status: Mapping[str, Any] | None = None
    """Merge patch of the resource's status; None where nothing differs. Only fields of ours."""
    notices: tuple[Notice, ...] = ()
    look_again: float | None = None
    """Seconds."""
    memory: Memory = field(default_factory=Memory)

    @property
    def is_quiet(self) -> bool:
        """Nothing is done and nothing is written."""
        return not self.actions and self.status is None and not self.notices

    @property
    def creates_pod(self) -> bool:
        return any(isinstance(action, CreatePod) for action in self.actions)


def sooner(one: float | None, other: float | None) -> float | None:
    """The sooner of two looks, either of which may not be needed."""
    return min((seconds for seconds in (one, other) if seconds is not None), default=None)
