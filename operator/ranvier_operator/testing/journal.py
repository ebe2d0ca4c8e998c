"""A journal in memory behind the operator's `Journal` Protocol: sleep and wake, without events'
bodies.

Publishing, reading and turns are counters here; the rules of ARCHITECTURE.md ("Wake and sleep")
hold: a sleep is refused while something is unread, a turn open, a broker missing or the idle time
not over.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ranvier.internal import (
    AxonBinding,
    AxonBindingView,
    DevboxBinding,
    DevboxFailure,
    DevboxView,
    MountView,
    OpenTurn,
    SleepAnswer,
    SleepReason,
    SleepRequest,
    WantedBy,
)

from ranvier_operator.clock import Clock
from ranvier_operator.errors import JournalRefused, JournalUnreachable


class Fenced(Exception):
    """A broker of an older generation came; it has to stop."""


@dataclass(slots=True)
class Box:
    """A devbox as the journal knows it. One cursor an axon is enough here."""

    binding: DevboxBinding
    generation: int = 1
    asleep: bool = False
    attached: bool = False
    resume_asked: bool = False
    turn_open: bool = False
    cursors: dict[str, int] = field(default_factory=dict)
    last_activity: float = 0.0


class FakeJournal:
    """The fake. `reachable` is the switch of the network between."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.boxes: dict[str, Box] = {}
        self.bound_axons: dict[str, AxonBindingView] = {}
        self.heads: dict[str, int] = {}
        self.told: list[tuple[str, DevboxFailure]] = []
        self.reachable = True
        self.asked = 0

    # --- the Protocol

    async def bind_axon(self, uid: str, binding: AxonBinding) -> AxonBindingView:
        self._answer()
        known = self.bound_axons.get(uid)
        axon_id = known.axon_id if known is not None else f"axn_{uid}"
        self.heads.setdefault(axon_id, 0)
        view = AxonBindingView(
            **binding.model_dump(), resource_uid=uid, axon_id=axon_id, head=self.heads[axon_id]
        )
        self.bound_axons[uid] = view
        return view

    async def axons(self) -> Sequence[AxonBindingView]:
        self._answer()
        return list(self.bound_axons.values())

    async def forget_axon(self, uid: str) -> None:
        self._answer()
        self.bound_axons.pop(uid, None)

    async def bind_devbox(self, uid: str, binding: DevboxBinding) -> DevboxView:
        self._answer()
        for mount in binding.mounts:
            if mount.axon_id not in self.heads:
                message = f"There is no axon {mount.axon_id!r}."
                raise JournalRefused(message, status=404, code="axon_not_found")
        box = self.boxes.setdefault(uid, Box(binding, last_activity=self._clock.wall()))
        if box.binding.held and not binding.held and box.asleep:
            box.resume_asked = True
        box.binding = binding
        return self.view(uid)

    async def devboxes(self) -> Sequence[DevboxView]:
        self._answer()
        return [self.view(uid) for uid in self.boxes]

    async def forget_devbox(self, uid: str) -> None:
        self._answer()
        self.boxes.pop(uid, None)

    async def sleep(self, uid: str, request: SleepRequest) -> SleepAnswer:
        self._answer()
        self.asked += 1
        box = self.boxes[uid]
        if request.generation < box.generation or (
            box.asleep and (request.force or not self.view(uid).wanted)
        ):
            return _granted(box.generation, SleepReason.ALREADY_ASLEEP)
        refusal = None if request.force else self._refusal(box, request)
        if refusal is not None:
            return refusal
        box.generation = max(box.generation, request.generation) + 1
        box.asleep, box.attached, box.turn_open, box.resume_asked = True, False, False, False
        return _granted(box.generation, SleepReason.FORCED if request.force else SleepReason.IDLE)

    async def tell_failure(self, uid: str, failure: DevboxFailure) -> None:
        self._answer()
        self.asked += 1
        if (uid, failure) not in self.told:
            self.told.append((uid, failure))

    # --- what users and brokers do

    def publish(self, axon_id: str) -> int:
        """A user's event; the next broker of the axon has to read it."""
        self.heads[axon_id] += 1
        return self.heads[axon_id]

    def attach(self, uid: str, generation: int) -> None:
        """The broker of a pod of this generation takes its mounts."""
        box = self.boxes[uid]
        if generation < box.generation:
            raise Fenced(f"{generation} is older than {box.generation}")
        box.generation, box.asleep, box.attached = generation, False, True
        box.resume_asked, box.turn_open = False, False
        box.last_activity = self._clock.wall()

    def read_all(self, uid: str) -> None:
        """The broker takes every event, one turn each, and ends them."""
        box = self.boxes[uid]
        for mount in box.binding.mounts:
            box.cursors[mount.axon_id] = self.heads[mount.axon_id]
        box.last_activity = self._clock.wall()

    def wake_of(self, uid: str) -> dict[str, object] | None:
        """The poke that the waker would write now."""
        view = self.view(uid)
        if not view.wanted or view.wanted_by is None:
            return None
        return {
            "generation": view.generation,
            "axonId": view.wanted_by.axon_id,
            "sequence": view.wanted_by.sequence,
            "time": "2027-01-15T08:00:00Z",
        }

    def view(self, uid: str) -> DevboxView:
        """The journal's view of a devbox."""
        box = self.boxes[uid]
        mounts = [
            MountView(
                **mount.model_dump(),
                epoch=box.generation,
                attached=box.attached,
                cursor=box.cursors.get(mount.axon_id, 0),
                control_cursor=box.cursors.get(mount.axon_id, 0),
                head=self.heads[mount.axon_id],
                unread=self.heads[mount.axon_id] > box.cursors.get(mount.axon_id, 0),
                open_turn=(
                    OpenTurn(turn_id="t", trigger=1, started_sequence=2) if box.turn_open else None
                ),
                last_activity_ms=int(box.last_activity * 1000),
            )
            for mount in box.binding.mounts
        ]
        unread = next((mount for mount in mounts if mount.unread), None)
        wakes = box.resume_asked or (box.binding.wake_on_event and unread is not None)
        return DevboxView(
            **box.binding.model_dump(),
            uid=uid,
            generation=box.generation,
            asleep=box.asleep,
            wanted=box.asleep and not box.binding.held and wakes,
            wanted_by=(
                WantedBy(axon_id=unread.axon_id, sequence=unread.cursor + 1) if unread else None
            ),
            mount_views=mounts,
        )

    # --- inside

    def _answer(self) -> None:
        if not self.reachable:
            raise JournalUnreachable("the fake journal is switched off")

    def _refusal(self, box: Box, request: SleepRequest) -> SleepAnswer | None:
        now = self._clock.wall()
        unread = any(
            self.heads[mount.axon_id] > box.cursors.get(mount.axon_id, 0)
            for mount in box.binding.mounts
        )
        reasons = (
            (box.asleep or (not box.attached and bool(box.binding.mounts)), SleepReason.STARTING),
            (unread, SleepReason.UNREAD_EVENT),
            (box.turn_open, SleepReason.TURN_OPEN),
        )
        for holds, reason in reasons:
            if holds:
                return _refused(box.generation, reason, now + request.idle_seconds)
        idle_at = box.last_activity + request.idle_seconds
        if now < idle_at:
            return _refused(box.generation, SleepReason.RECENT_ACTIVITY, idle_at)
        return None


def _granted(generation: int, reason: SleepReason) -> SleepAnswer:
    return SleepAnswer(granted=True, generation=generation, reason=reason, message=f"{reason}.")


def _refused(generation: int, reason: SleepReason, again: float) -> SleepAnswer:
    return SleepAnswer(
        granted=False,
        generation=generation,
        reason=reason,
        message=f"{reason}.",
        look_again_ms=round(again * 1000),
    )
