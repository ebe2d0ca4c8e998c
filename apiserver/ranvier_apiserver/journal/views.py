"""States as seen from outside: the operator's view of a devbox, facts for sleep, reasons to wake.

Read from a draft, so a view is of one moment, and after a change it shows that change.
"""

from ranvier.internal import DevboxView, MountBinding, MountView, OpenTurn, WantedBy

from ranvier_apiserver import devboxes
from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal.base import Draft
from ranvier_apiserver.sleep import MountFacts, SleepFacts
from ranvier_apiserver.state import Devbox, Head, Mount, Turn, Wake


def devbox_view(draft: Draft, devbox: Devbox) -> DevboxView:
    mount_views = [_mount_view(draft, mount) for mount in devbox.mounts]
    wake = wake_of(draft, devbox)
    return DevboxView(
        uid=devbox.uid,
        namespace=devbox.namespace,
        name=devbox.name,
        mounts=[
            MountBinding(index=m.index, axon_id=m.axon_id, protocol=m.protocol)
            for m in devbox.mounts
        ],
        wake_on_event=devbox.wake_on_event,
        held=devbox.held,
        generation=devbox.generation,
        asleep=devbox.asleep,
        wanted=devboxes.is_wanted(devbox, any(view.unread for view in mount_views)),
        wanted_by=WantedBy(axon_id=wake.axon_id, sequence=wake.sequence) if wake else None,
        mount_views=mount_views,
    )


def sleep_facts(draft: Draft, devbox: Devbox) -> SleepFacts:
    """Mounts of deleted axons have nothing to wait for, so they say nothing about sleep."""
    live = [m for m in devbox.mounts if draft.is_live(m.axon_id)]
    facts = tuple(
        MountFacts(
            attached=mount.attached,
            unread=devboxes.is_unread(mount, draft.head(mount.axon_id)),
            turn_open=mount.open_turn is not None,
            last_activity_ms=_activity_ms(mount, draft.head(mount.axon_id)),
        )
        for mount in live
    )
    return SleepFacts(
        generation=devbox.generation,
        asleep=devbox.asleep,
        wanted=devboxes.is_wanted(devbox, any(fact.unread for fact in facts)),
        last_activity_ms=devbox.last_activity_ms,
        mounts=facts,
        executing=devbox.executing,
    )


def wake_of(draft: Draft, devbox: Devbox) -> Wake | None:
    """The first unread event that wants this devbox awake, if one does (W1)."""
    if not devboxes.is_wakeable(devbox):
        return None
    for mount in devbox.mounts:
        head = _live_head(draft, mount)
        if not devboxes.is_unread(mount, head):
            continue
        sequence, time_ms = first_unread(draft, mount)
        return Wake(
            devbox.uid,
            devbox.namespace,
            devbox.name,
            devbox.generation,
            mount.axon_id,
            sequence,
            time_ms,
        )
    return None


def first_unread(draft: Draft, mount: Mount) -> tuple[int, int]:
    """Sequence and time of the first event that waits for this mount; one must."""
    axon = draft.axon(mount.axon_id)
    committed = draft.base.heads.get(axon.axon_id)
    newest = committed.inbound if committed else 0
    try:
        found = draft.base.loader.first_inbound(axon, mount.cursor, newest)
    except JournalDamaged:
        # The wake is owed all the same, and other axons go on; who reads this one is told.
        head = draft.head(mount.axon_id)
        return head.inbound, head.inbound_ms
    if found:
        return found
    return next(
        (event.sequence, event.timestamp_ms)
        for number, event, *_ in draft.events
        if number == axon.number and event.sequence > mount.cursor and event.is_inbound
    )


def turn_view(turn: Turn | None) -> OpenTurn | None:
    if turn is None:
        return None
    return OpenTurn(
        turn_id=turn.turn_id, trigger=turn.trigger, started_sequence=turn.started_sequence
    )


def _mount_view(draft: Draft, mount: Mount) -> MountView:
    head = _live_head(draft, mount)
    return MountView(
        index=mount.index,
        axon_id=mount.axon_id,
        protocol=mount.protocol,
        epoch=mount.epoch,
        attached=mount.attached,
        cursor=mount.cursor,
        control_cursor=mount.control_cursor,
        head=head.sequence if head else 0,
        unread=devboxes.is_unread(mount, head),
        open_turn=turn_view(mount.open_turn),
        last_activity_ms=_activity_ms(mount, head),
    )


def _live_head(draft: Draft, mount: Mount) -> Head | None:
    return draft.head(mount.axon_id) if draft.is_live(mount.axon_id) else None


def _activity_ms(mount: Mount, head: Head | None) -> int:
    """Wakeable events count as activity when they arrive, not only when they are taken (W7)."""
    return max(mount.last_activity_ms, head.inbound_ms if head else 0)
