"""What a Devbox resource's declaration does to the journal's devbox, and when it must run. Pure.

`wanted` is level-triggered (W1): it follows from the states alone, never from a message that
somebody could miss. A hold of the owner beats every event (W5).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from ranvier.internal import DevboxBinding, MountBinding

from ranvier_apiserver.state import Devbox, Head, Mount, Turn

StartCursor = Callable[[str], int]
"""Where a new mount of an axon begins: the highest cursor that any mount of it ever had, else 0."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A mount that is gone: its axon remembers how far it read, its open turn must be failed."""

    axon_id: str
    cursor: int
    open_turn: Turn | None


def register(
    uid: str, known: Devbox | None, binding: DevboxBinding, start: StartCursor, now_ms: int
) -> tuple[Devbox, list[Dropped]]:
    """The devbox as declared; equal to `known` when nothing differs, so nothing is written."""
    devbox = known or Devbox(
        uid=uid,
        namespace=binding.namespace,
        name=binding.name,
        wake_on_event=binding.wake_on_event,
        held=binding.held,
        last_activity_ms=now_ms,
    )
    mounts = tuple(
        _mounted(devbox.mount(wanted.index), wanted, start, now_ms) for wanted in binding.mounts
    )
    declared = replace(
        devbox,
        namespace=binding.namespace,
        name=binding.name,
        wake_on_event=binding.wake_on_event,
        mounts=mounts,
    )
    kept = {(mount.index, mount.axon_id) for mount in mounts}
    dropped = [
        Dropped(mount.axon_id, mount.cursor, mount.open_turn)
        for mount in devbox.mounts
        if (mount.index, mount.axon_id) not in kept
    ]
    return _hold(declared, binding.held, now_ms), dropped


def wake_up(devbox: Devbox, generation: int, now_ms: int) -> Devbox:
    """A broker of this generation is here: the devbox runs, and no resume is owed any more."""
    if not devbox.asleep and devbox.generation == generation:
        return devbox
    return replace(
        devbox,
        generation=generation,
        asleep=False,
        resume_requested=False,
        last_activity_ms=max(devbox.last_activity_ms, now_ms),
    )


def resume(devbox: Devbox, now_ms: int) -> Devbox:
    """It was asked to run; what is awake, or held by its owner (W5), stays as it is."""
    if not devbox.asleep or devbox.held:
        return devbox
    if not devbox.mounts:
        # Without a mount no broker will attach and say that it runs: asked for is running.
        return wake_up(devbox, devbox.generation, now_ms)
    return replace(devbox, resume_requested=True)


def keep_alive(devbox: Devbox, now_ms: int) -> Devbox:
    """Somebody said that it is in use: its idle time begins anew (W7)."""
    return replace(devbox, last_activity_ms=max(devbox.last_activity_ms, now_ms))


def report(devbox: Devbox, executing: bool, now_ms: int) -> Devbox:
    """Executions began or ended, which is activity (W7); told again it changes nothing."""
    if executing == devbox.executing:
        return devbox
    return replace(keep_alive(devbox, now_ms), executing=executing)


def is_unread(mount: Mount, head: Head | None) -> bool:
    """Whether an event waits for this mount's broker; a deleted axon has no head and no events."""
    return head is not None and head.inbound > mount.cursor


def is_wakeable(devbox: Devbox) -> bool:
    """Whether an unread event would wake it."""
    return devbox.asleep and not devbox.held and devbox.wake_on_event


def is_wanted(devbox: Devbox, has_unread: bool) -> bool:
    """It is asleep and must run."""
    if not devbox.asleep or devbox.held:
        return False
    return devbox.resume_requested or (devbox.wake_on_event and has_unread)


def _mounted(known: Mount | None, wanted: MountBinding, start: StartCursor, now_ms: int) -> Mount:
    if known is not None and known.axon_id == wanted.axon_id:
        return replace(known, protocol=wanted.protocol)
    cursor = start(wanted.axon_id)
    return Mount(
        index=wanted.index,
        axon_id=wanted.axon_id,
        protocol=wanted.protocol,
        cursor=cursor,
        control_cursor=cursor,
        last_activity_ms=now_ms,
        # A mount that moved to another axon keeps counting, so its old broker stays fenced.
        epoch=known.epoch if known is not None else 0,
    )


def _hold(devbox: Devbox, held: bool, now_ms: int) -> Devbox:
    if held == devbox.held:
        return devbox
    if held:
        return replace(devbox, held=True, resume_requested=False)
    return resume(replace(devbox, held=False), now_ms)
