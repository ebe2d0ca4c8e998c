"""Writes a draft in one transaction: a multi-row INSERT of its events, then what else changed.

The INSERTs come in power-of-two sizes, so that a few statements stay prepared whatever the size of
a batch. One statement per batch, not one per row, also keeps the interpreter from handing control
to a busy thread between rows, which was measured to cost a factor of ten and more.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from ranvier_apiserver.journal import rows
from ranvier_apiserver.journal.base import Base, Draft
from ranvier_apiserver.state import Devbox

ROWS_PER_INSERT_MAX: Final = 1024
"""Nine variables a row stay below SQLite's 32,766 variables a statement."""

ANSWERS_PER_SELECT_MAX: Final = 512


def _insert(table: str, fields: str) -> dict[int, str]:
    row = f"({', '.join('?' * len(fields.split(',')))})"
    sizes = [1 << power for power in range(ROWS_PER_INSERT_MAX.bit_length())]
    return {n: f"INSERT INTO {table} ({fields}) VALUES {', '.join([row] * n)}" for n in sizes}


def _replace(table: str, fields: str) -> str:
    return _insert(table, fields)[1].replace("INSERT", "INSERT OR REPLACE", 1)


_EVENTS: Final = _insert("event", rows.EVENT_FIELDS)
_ANSWERS: Final = _insert("answer", "digest, kept, created_at_ms")
_AXON: Final = _replace("axon", rows.AXON_FIELDS)
_CLAIM: Final = _replace("axon_claim", rows.CLAIM_FIELDS)
_DEVBOX: Final = _replace("devbox", rows.DEVBOX_FIELDS)
_MOUNT: Final = _replace("mount", rows.MOUNT_FIELDS)


def commit(connection: sqlite3.Connection, draft: Draft) -> None:
    """All of the draft, or nothing and an exception. After return it is on disk."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _write(connection, draft)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def known_answers(connection: sqlite3.Connection, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The answers that earlier transactions kept for these requests."""
    found: dict[bytes, bytes] = {}
    for start in range(0, len(digests), ANSWERS_PER_SELECT_MAX):
        chunk = list(digests[start : start + ANSWERS_PER_SELECT_MAX])
        # Padded to a power of two for the same reason as the INSERTs.
        chunk += chunk[:1] * ((1 << (len(chunk) - 1).bit_length()) - len(chunk))
        marks = ", ".join("?" * len(chunk))
        found.update(
            connection.execute(f"SELECT digest, kept FROM answer WHERE digest IN ({marks})", chunk)
        )
    return found


def _write(connection: sqlite3.Connection, draft: Draft) -> None:
    for axon in draft.axons.values():
        connection.execute(_AXON, rows.axon_row(axon))
    _insert_rows(connection, _EVENTS, [rows.event_row(*event) for event in draft.events])
    answers = [(digest, kept, draft.now_ms) for digest, kept in draft.answers.items()]
    _insert_rows(connection, _ANSWERS, answers)
    for uid, devbox in draft.devboxes.items():
        _write_devbox(connection, draft.base, uid, devbox)
    for resource_uid, claim in draft.claims.items():
        if claim is None:
            connection.execute("DELETE FROM axon_claim WHERE resource_uid = ?", (resource_uid,))
        else:
            connection.execute(_CLAIM, rows.claim_row(claim))
    for statement, values in draft.upkeep:
        connection.execute(statement, values)


def _write_devbox(
    connection: sqlite3.Connection, base: Base, uid: str, devbox: Devbox | None
) -> None:
    """Only the rows that differ: a broker's append touches one mount."""
    before = base.devboxes.get(uid)
    if devbox is None:
        connection.execute("DELETE FROM devbox WHERE uid = ?", (uid,))
        connection.execute("DELETE FROM mount WHERE devbox_uid = ?", (uid,))
        return
    row = rows.devbox_row(devbox)
    if before is None or rows.devbox_row(before) != row:
        connection.execute(_DEVBOX, row)
    old = {mount.index: mount for mount in before.mounts} if before else {}
    for mount in devbox.mounts:
        if old.pop(mount.index, None) != mount:
            connection.execute(_MOUNT, rows.mount_row(uid, mount))
    for index in old:
        connection.execute(
            "DELETE FROM mount WHERE devbox_uid = ? AND mount_index = ?", (uid, index)
        )


def _insert_rows(
    connection: sqlite3.Connection, statements: dict[int, str], values: Sequence[rows.Row]
) -> None:
    for chunk in _power_of_two_chunks(values):
        flat = [value for row in chunk for value in row]
        connection.execute(statements[len(chunk)], flat)


def _power_of_two_chunks(values: Sequence[rows.Row]) -> Iterator[Sequence[rows.Row]]:
    start, left = 0, len(values)
    while left:
        size = min(ROWS_PER_INSERT_MAX, 1 << (left.bit_length() - 1))
        yield values[start : start + size]
        start, left = start + size, left - size
