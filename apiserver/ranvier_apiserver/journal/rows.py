"""Values as rows and back: the only place that knows the tables' columns. Pure.

A row of events carries a checksum over all of its fields. Whoever reads it checks it, so that
damage which SQLite can not see (a flipped bit inside a payload) is reported, not answered (J7).
"""

import json
from typing import Any, Final

from ranvier.events import AxonEvent, Origin
from ranvier.internal import DeletionPolicy

from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal.checksum import event_checksum, is_whole
from ranvier_apiserver.state import Axon, AxonClaim, Devbox, Mount, Turn

Row = tuple[Any, ...]

ORIGIN_NUMBERS: Final = {Origin.EXTERNAL: 1, Origin.AGENT: 2, Origin.USER: 3, Origin.SYSTEM: 4}
ORIGINS: Final = {number: origin for origin, number in ORIGIN_NUMBERS.items()}
ORIGIN_WORDS: Final = {number: origin.value for number, origin in ORIGINS.items()}

EVENT_FIELDS: Final = (
    "axon, sequence, timestamp_ms, origin, source, event_type, payload, total_bytes, inbound,"
    " checksum"
)
AXON_FIELDS: Final = "number, axon_id, name, metadata, created_at_ms, deleted_at_ms, cursor_floor"
CLAIM_FIELDS: Final = "resource_uid, axon_id, namespace, name, metadata, deletion_policy"
DEVBOX_FIELDS: Final = (
    "uid, namespace, name, wake_on_event, held, last_activity_ms, generation, asleep,"
    " resume_requested, executing"
)
MOUNT_FIELDS: Final = (
    "devbox_uid, mount_index, axon_id, protocol, cursor, control_cursor, last_activity_ms, epoch,"
    " attached, turn_id, turn_trigger, turn_started, last_trigger, state, last_batch, last_first,"
    " last_last"
)


def event_row(number: int, event: AxonEvent, total_bytes: int, inbound: int) -> Row:
    fields = (
        number,
        event.sequence,
        event.timestamp_ms,
        ORIGIN_NUMBERS[event.origin],
        event.source,
        event.event_type,
        event.payload.encode(),
        total_bytes,
        inbound,
    )
    return (*fields, event_checksum(fields))


def event_from(axon_id: str, row: Row) -> AxonEvent:
    """Raises JournalDamaged when the row is not what was written."""
    expect_whole(axon_id, row)
    _, sequence, timestamp_ms, origin, source, event_type, payload, *_ = row
    return AxonEvent(
        axon_id, sequence, timestamp_ms, ORIGINS[origin], source, event_type, payload.decode()
    )


def view_from(axon_id: str, row: Row) -> dict[str, Any]:
    """As `event_from`, as `frames.view` has it: replays are long, and make no use of the event."""
    expect_whole(axon_id, row)
    _, sequence, timestamp_ms, origin, source, event_type, payload, *_ = row
    return {
        "axon_id": axon_id,
        "sequence": sequence,
        "timestamp_ms": timestamp_ms,
        "origin": ORIGIN_WORDS[origin],
        "source": source,
        "event_type": event_type,
        "payload": payload.decode(),
    }


def expect_whole(axon_id: str, row: Row) -> None:
    """Raises JournalDamaged when the row of an event is not what was written."""
    if not is_whole(row):
        raise JournalDamaged(
            f"Event {row[1]} of axon {axon_id!r} was changed on disk. The axon is refused; "
            "restore the journal from a backup."
        )


def axon_row(axon: Axon) -> Row:
    return (
        axon.number,
        axon.axon_id,
        axon.name,
        json.dumps(dict(axon.metadata)),
        axon.created_at_ms,
        axon.deleted_at_ms,
        axon.cursor_floor,
    )


def axon_from(row: Row) -> Axon:
    number, axon_id, name, metadata, created_at_ms, deleted_at_ms, cursor_floor = row
    return Axon(
        number, axon_id, name, json.loads(metadata), created_at_ms, deleted_at_ms, cursor_floor
    )


def claim_row(claim: AxonClaim) -> Row:
    return (
        claim.resource_uid,
        claim.axon_id,
        claim.namespace,
        claim.name,
        json.dumps(dict(claim.metadata)),
        claim.deletion_policy.value,
    )


def claim_from(row: Row) -> AxonClaim:
    uid, axon_id, namespace, name, metadata, policy = row
    return AxonClaim(uid, axon_id, namespace, name, json.loads(metadata), DeletionPolicy(policy))


def devbox_row(devbox: Devbox) -> Row:
    return (
        devbox.uid,
        devbox.namespace,
        devbox.name,
        devbox.wake_on_event,
        devbox.held,
        devbox.last_activity_ms,
        devbox.generation,
        devbox.asleep,
        devbox.resume_requested,
        devbox.executing,
    )


def devbox_from(row: Row, mounts: tuple[Mount, ...]) -> Devbox:
    uid, namespace, name, wake_on_event, held, activity, generation, asleep, *flags = row
    resume, executing = flags
    return Devbox(
        uid=uid,
        namespace=namespace,
        name=name,
        wake_on_event=bool(wake_on_event),
        held=bool(held),
        last_activity_ms=activity,
        generation=generation,
        asleep=bool(asleep),
        resume_requested=bool(resume),
        executing=bool(executing),
        mounts=mounts,
    )


def mount_row(uid: str, mount: Mount) -> Row:
    turn = mount.open_turn
    return (
        uid,
        mount.index,
        mount.axon_id,
        mount.protocol,
        mount.cursor,
        mount.control_cursor,
        mount.last_activity_ms,
        mount.epoch,
        mount.attached,
        turn and turn.turn_id,
        turn and turn.trigger,
        turn and turn.started_sequence,
        mount.last_trigger,
        mount.state,
        mount.last_batch,
        mount.last_first,
        mount.last_last,
    )


def mount_from(row: Row) -> Mount:
    turn_id, trigger, started = row[9:12]
    return Mount(
        index=row[1],
        axon_id=row[2],
        protocol=row[3],
        cursor=row[4],
        control_cursor=row[5],
        last_activity_ms=row[6],
        epoch=row[7],
        attached=bool(row[8]),
        open_turn=None if turn_id is None else Turn(turn_id, trigger, started),
        last_trigger=row[12],
        state=row[13],
        last_batch=row[14],
        last_first=row[15],
        last_last=row[16],
    )
