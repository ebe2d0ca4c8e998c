"""The rules of a broker mount: who may append, and which turns may begin and end. Pure.

T3: no trigger gets two `turn.started`, and the cursor moves with it. T4: every `turn.started` gets
exactly one terminal. T5: an epoch that is over can append nothing. The journal holds these rules
itself, so that a broker with a bug, or two brokers at once, can not break them.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from ranvier.events import INBOUND_ORIGINS, TURN_TERMINALS, Origin, SystemEvent
from ranvier.internal import AppendEvent, AppendRequest, TurnStarted

from ranvier_apiserver.errors import Fenced, RuleBroken
from ranvier_apiserver.state import Mount, Turn

STATE_BYTES_MAX: Final = 256 * 1024
"""Largest broker state of one mount: session ids and parameters, not content."""

_TURN_EVENTS: Final = TURN_TERMINALS | {SystemEvent.TURN_STARTED}

OriginOf = Callable[[int], Origin | None]
"""Origin of the axon's event with a sequence, if there is one."""


@dataclass(frozen=True, slots=True)
class Appending:
    """Where a batch would land: `head` is the axon's newest sequence before it."""

    head: int
    origin_of: OriginOf
    now_ms: int


def attach(mount: Mount, now_ms: int) -> tuple[Mount, Turn | None]:
    """Open a new epoch. The second value is the older epoch's turn, which must be closed now."""
    taken = replace(
        mount,
        epoch=mount.epoch + 1,
        attached=True,
        open_turn=None,
        last_batch=0,
        last_activity_ms=max(mount.last_activity_ms, now_ms),
    )
    return taken, mount.open_turn


def detach(mount: Mount) -> tuple[Mount, Turn | None]:
    """Close the epoch: from here on its appends are fenced."""
    return replace(mount, attached=False, open_turn=None), mount.open_turn


def append(mount: Mount, request: AppendRequest, state: str | None, at: Appending) -> Mount | None:
    """The mount after this batch; None when the batch was appended before (answer again)."""
    if not mount.attached or request.epoch != mount.epoch:
        raise Fenced(
            f"Epoch {request.epoch} of this mount is over; the mount is at epoch {mount.epoch}. "
            "Stop, and attach again if this pod is still wanted."
        )
    if request.batch == mount.last_batch:
        return None
    if request.batch != mount.last_batch + 1:
        raise RuleBroken(f"Batch {request.batch} does not follow batch {mount.last_batch}.")
    if state is not None and len(state.encode()) > STATE_BYTES_MAX:
        raise RuleBroken(f"The mount's state is larger than {STATE_BYTES_MAX} bytes.")
    moved = _move_cursors(mount, request, at.head)
    turned = _play_marks(moved, request, at)
    return replace(
        turned,
        state=mount.state if state is None else state,
        last_batch=request.batch,
        last_first=at.head + 1,
        last_last=at.head + len(request.events),
        last_activity_ms=max(mount.last_activity_ms, at.now_ms)
        if request.turn_marks
        else mount.last_activity_ms,
    )


def _move_cursors(mount: Mount, request: AppendRequest, head: int) -> Mount:
    cursor = mount.cursor if request.cursor is None else request.cursor
    control = mount.control_cursor if request.control_cursor is None else request.control_cursor
    if cursor < mount.cursor:
        raise RuleBroken(f"Cursors never go back; the mount's cursor is {mount.cursor}.")
    if max(cursor, control) > head:
        raise RuleBroken(f"A cursor can not pass the axon's head, {head}.")
    return replace(mount, cursor=cursor, control_cursor=max(mount.control_cursor, control, cursor))


def _play_marks(mount: Mount, request: AppendRequest, at: Appending) -> Mount:
    marked = [mark.event_index for mark in request.turn_marks]
    if marked != [i for i, event in enumerate(request.events) if _is_turn_event(event)]:
        raise RuleBroken("turn_marks must name every turn event of the batch once, in order.")
    for mark in request.turn_marks:
        event = request.events[mark.event_index]
        if isinstance(mark, TurnStarted) != (event.event_type == SystemEvent.TURN_STARTED):
            raise RuleBroken(f"events[{mark.event_index}] is no {mark.kind!r} event.")
        if isinstance(mark, TurnStarted):
            mount = _start(mount, mark, at)
        elif mount.open_turn is None or mount.open_turn.turn_id != mark.turn_id:
            raise RuleBroken(f"Turn {mark.turn_id!r} is not open, so it can not end (T4).")
        else:
            mount = replace(mount, open_turn=None)
    return mount


def _start(mount: Mount, mark: TurnStarted, at: Appending) -> Mount:
    if mount.open_turn is not None:
        raise RuleBroken(f"Turn {mount.open_turn.turn_id!r} is open; one turn at a time (T2).")
    if mark.trigger <= mount.last_trigger:
        raise RuleBroken(f"A turn for event {mark.trigger} or a later one was started before (T3).")
    if mark.trigger > mount.cursor:
        raise RuleBroken(f"The cursor must reach the trigger {mark.trigger} in this batch (T3).")
    if at.origin_of(mark.trigger) not in INBOUND_ORIGINS:
        raise RuleBroken(f"Event {mark.trigger} is not from a user or outside, so no trigger (T1).")
    turn = Turn(mark.turn_id, mark.trigger, at.head + 1 + mark.event_index)
    return replace(mount, open_turn=turn, last_trigger=mark.trigger)


def _is_turn_event(event: AppendEvent) -> bool:
    """`turn.failed` without a `turn_id` tells clients that a request outside any turn failed."""
    if event.origin is not Origin.SYSTEM or event.event_type not in _TURN_EVENTS:
        return False
    return event.event_type != SystemEvent.TURN_FAILED or _names_a_turn(event.payload)


def _names_a_turn(payload: str) -> bool:
    try:
        said = json.loads(payload)
    except ValueError:
        return True
    return not isinstance(said, dict) or "turn_id" in said
