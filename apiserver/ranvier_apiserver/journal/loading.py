"""Reads the writer needs: the state at start, and an axon's end on first touch.

All on the writer's own connection, so they see exactly what the next transaction builds on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ranvier.events import Origin

from ranvier_apiserver.journal import inbound, rows
from ranvier_apiserver.journal.base import Base
from ranvier_apiserver.journal.engine import Session
from ranvier_apiserver.state import Axon, AxonClaim, Devbox, Head, Mount


@dataclass(frozen=True, slots=True)
class SessionLoader:
    session: Session

    def axon(self, axon_id: str) -> tuple[Axon, Head] | None:
        row = self.session.execute(
            f"SELECT {rows.AXON_FIELDS} FROM axon WHERE axon_id = ?", (axon_id,)
        ).fetchone()
        if row is None:
            return None
        axon = rows.axon_from(row)
        return axon, self._head(axon)

    def _head(self, axon: Axon) -> Head:
        last = self.session.execute(
            f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? ORDER BY sequence DESC LIMIT 1",
            (axon.number,),
        ).fetchone()
        if last is None:
            return Head()
        event = rows.event_from(axon.axon_id, last)
        *_, total_bytes, newest, _ = last
        found = self.session.execute(
            "SELECT timestamp_ms FROM event WHERE axon = ? AND sequence = ?", (axon.number, newest)
        ).fetchone()
        newest_ms = found[0] if found else 0
        return Head(event.sequence, event.timestamp_ms, newest, newest_ms, total_bytes)

    def origin_of(self, number: int, sequence: int) -> Origin | None:
        row = self.session.execute(
            "SELECT origin FROM event WHERE axon = ? AND sequence = ?", (number, sequence)
        ).fetchone()
        return None if row is None else rows.ORIGINS[row[0]]

    def first_inbound(self, axon: Axon, after: int, newest: int) -> tuple[int, int] | None:
        found = inbound.first_after(self.session, axon, after, newest)
        return None if found is None else (found.sequence, found.timestamp_ms)


def load_base(session: Session) -> Base:
    """The state at start: all devboxes and claims; axons follow when they are touched."""
    base = Base(SessionLoader(session))
    for devbox in devboxes(session):
        base.put_devbox(devbox.uid, devbox)
    for claim in claims(session):
        base.put_claim(claim.resource_uid, claim)
    (last,) = session.execute("SELECT coalesce(max(number), 0) FROM axon").fetchone()
    base.next_axon = last + 1
    return base


def devboxes(session: Session, uids: Sequence[str] | None = None) -> list[Devbox]:
    """These devboxes with their mounts, as far as they exist; all where None."""
    mounts: dict[str, list[Mount]] = {}
    chosen, values = _chosen("devbox_uid", uids)
    for row in session.execute(
        f"SELECT {rows.MOUNT_FIELDS} FROM mount WHERE {chosen} ORDER BY mount_index", values
    ):
        mounts.setdefault(row[0], []).append(rows.mount_from(row))
    chosen, values = _chosen("uid", uids)
    found = session.execute(
        f"SELECT {rows.DEVBOX_FIELDS} FROM devbox WHERE {chosen} ORDER BY uid", values
    )
    return [rows.devbox_from(row, tuple(mounts.get(row[0], ()))) for row in found]


def claims(session: Session, resource_uids: Sequence[str] | None = None) -> list[AxonClaim]:
    chosen, values = _chosen("resource_uid", resource_uids)
    found = session.execute(f"SELECT {rows.CLAIM_FIELDS} FROM axon_claim WHERE {chosen}", values)
    return [rows.claim_from(row) for row in found]


def axons(session: Session, axon_ids: Sequence[str]) -> list[Axon]:
    """These axons, without their heads."""
    chosen, values = _chosen("axon_id", axon_ids)
    found = session.execute(f"SELECT {rows.AXON_FIELDS} FROM axon WHERE {chosen}", values)
    return [rows.axon_from(row) for row in found]


def _chosen(field: str, keys: Sequence[str] | None) -> tuple[str, Sequence[str]]:
    if keys is None:
        return "TRUE", ()
    return f"{field} IN ({', '.join('?' * len(keys))})", keys
