"""Writes a draft: its events in as few statements as the engine can, then what else changed.

For all engines: statements mark values with `?`, and `insert` is the engine's own way to bring in
many rows at once.
"""

from collections.abc import Callable, Sequence
from typing import Final

from ranvier_apiserver.journal import rows
from ranvier_apiserver.journal.base import Base, Draft
from ranvier_apiserver.journal.engine import Session
from ranvier_apiserver.state import Devbox

ANSWER_FIELDS: Final = "digest, kept, created_at_ms"
ANSWERS_PER_SELECT_MAX: Final = 512

Insert = Callable[[str, str, Sequence[rows.Row]], None]
"""Table, fields, rows."""


def _put(table: str, fields: str, keys: int = 1) -> str:
    """Insert a row, or replace it; the first fields are its key."""
    names = fields.replace(" ", "").split(",")
    marks = ", ".join("?" * len(names))
    changes = ", ".join(f"{name} = excluded.{name}" for name in names[keys:])
    return (
        f"INSERT INTO {table} ({fields}) VALUES ({marks})"
        f" ON CONFLICT ({', '.join(names[:keys])}) DO UPDATE SET {changes}"
    )


_AXON: Final = _put("axon", rows.AXON_FIELDS)
_CLAIM: Final = _put("axon_claim", rows.CLAIM_FIELDS)
_DEVBOX: Final = _put("devbox", rows.DEVBOX_FIELDS)
_MOUNT: Final = _put("mount", rows.MOUNT_FIELDS, keys=2)


def known_answers(session: Session, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The answers that earlier transactions kept for these requests."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(digests), ANSWERS_PER_SELECT_MAX):
        chunk = list(digests[start : start + ANSWERS_PER_SELECT_MAX])
        # Padded to a power of two, so that few statements stay prepared whatever a batch's size.
        chunk += chunk[:1] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
        marks = ", ".join("?" * len(chunk))
        found.update(
            session.execute(f"SELECT digest, kept FROM answer WHERE digest IN ({marks})", chunk)
        )
    return found


def write(session: Session, draft: Draft, insert: Insert) -> None:
    """Everything but the events, inside the engine's transaction."""
    for axon in draft.axons.values():
        session.execute(_AXON, rows.axon_row(axon))
    if draft.answers:
        kept = [(digest, answer, draft.now_ms) for digest, answer in draft.answers.items()]
        insert("answer", ANSWER_FIELDS, kept)
    for uid, devbox in draft.devboxes.items():
        _write_devbox(session, draft.base, uid, devbox)
    for resource_uid, claim in draft.claims.items():
        if claim is None:
            session.execute("DELETE FROM axon_claim WHERE resource_uid = ?", (resource_uid,))
        else:
            session.execute(_CLAIM, rows.claim_row(claim))
    for statement, values in draft.upkeep:
        session.execute(statement, values)


def _write_devbox(session: Session, base: Base, uid: str, devbox: Devbox | None) -> None:
    """Only the rows that differ: a broker's append touches one mount."""
    before = base.devboxes.get(uid)
    if devbox is None:
        session.execute("DELETE FROM devbox WHERE uid = ?", (uid,))
        session.execute("DELETE FROM mount WHERE devbox_uid = ?", (uid,))
        return
    row = rows.devbox_row(devbox)
    if before is None or rows.devbox_row(before) != row:
        session.execute(_DEVBOX, row)
    old = {mount.index: mount for mount in before.mounts} if before else {}
    for mount in devbox.mounts:
        if old.pop(mount.index, None) != mount:
            session.execute(_MOUNT, rows.mount_row(uid, mount))
    for index in old:
        session.execute("DELETE FROM mount WHERE devbox_uid = ? AND mount_index = ?", (uid, index))
