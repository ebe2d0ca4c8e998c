"""Reads the writer needs: the state at start, and an axon's end on first touch.

All on the writer's own connection, so they see exactly what the next transaction builds on.
"""

import sqlite3
from dataclasses import dataclass

from ranvier.events import Origin

from ranvier_apiserver.journal import rows
from ranvier_apiserver.journal.base import Base
from ranvier_apiserver.state import Axon, Head, Mount


@dataclass(frozen=True, slots=True)
class SqliteLoader:
    connection: sqlite3.Connection

    def axon(self, axon_id: str) -> tuple[Axon, Head] | None:
        row = self.connection.execute(
            f"SELECT {rows.AXON_FIELDS} FROM axon WHERE axon_id = ?", (axon_id,)
        ).fetchone()
        if row is None:
            return None
        axon = rows.axon_from(row)
        return axon, self._head(axon)

    def _head(self, axon: Axon) -> Head:
        last = self.connection.execute(
            f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? ORDER BY sequence DESC LIMIT 1",
            (axon.number,),
        ).fetchone()
        if last is None:
            return Head()
        event = rows.event_from(axon.axon_id, last)
        inbound = self.connection.execute(
            "SELECT sequence, timestamp_ms FROM event WHERE axon = ? AND origin IN (1, 3)"
            " ORDER BY sequence DESC LIMIT 1",
            (axon.number,),
        ).fetchone()
        sequence, inbound_ms = inbound or (0, 0)
        return Head(event.sequence, event.timestamp_ms, sequence, inbound_ms, last[7])

    def origin_of(self, number: int, sequence: int) -> Origin | None:
        row = self.connection.execute(
            "SELECT origin FROM event WHERE axon = ? AND sequence = ?", (number, sequence)
        ).fetchone()
        return None if row is None else rows.ORIGINS[row[0]]

    def first_inbound(self, number: int, after: int) -> tuple[int, int] | None:
        row: tuple[int, int] | None = self.connection.execute(
            "SELECT sequence, timestamp_ms FROM event WHERE axon = ? AND sequence > ?"
            " AND origin IN (1, 3) ORDER BY sequence LIMIT 1",
            (number, after),
        ).fetchone()
        return row


def load_base(connection: sqlite3.Connection) -> Base:
    """The state at start: all devboxes and claims; axons follow when they are touched."""
    base = Base(SqliteLoader(connection))
    mounts: dict[str, list[Mount]] = {}
    for row in connection.execute(f"SELECT {rows.MOUNT_FIELDS} FROM mount ORDER BY mount_index"):
        mounts.setdefault(row[0], []).append(rows.mount_from(row))
    for row in connection.execute(f"SELECT {rows.DEVBOX_FIELDS} FROM devbox ORDER BY uid"):
        devbox = rows.devbox_from(row, tuple(mounts.get(row[0], ())))
        base.devboxes[devbox.uid] = devbox
        base.index(None, devbox)
    for row in connection.execute(f"SELECT {rows.CLAIM_FIELDS} FROM axon_claim"):
        claim = rows.claim_from(row)
        base.claims[claim.resource_uid] = claim
    (last,) = connection.execute("SELECT ifnull(max(number), 0) FROM axon").fetchone()
    base.next_axon = last + 1
    return base
