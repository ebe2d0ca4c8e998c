"""What other replicas committed: read from the table `journal_commit`, applied to the base.

Reading comes first and may fail; applying works in memory alone, so the base never stands halfway
between two commits.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from ranvier.events import AxonEvent

from ranvier_apiserver.journal import loading, rows
from ranvier_apiserver.journal.base import Base, Draft
from ranvier_apiserver.journal.engine import Session
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Axon, AxonClaim, Devbox

COMMITS_MAX: Final = 64
EVENTS_MAX: Final = 4096
"""A replica that is further behind reads its state anew, and its streams read from the tables: that
costs the same however long it was away."""

FIELDS: Final = "version, stamp, position, touched"


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in the journal's history: after the commit `version`."""

    version: int
    stamp: int
    position: int


@dataclass(frozen=True, slots=True)
class News:
    """What happened from one mark to the next."""

    mark: Mark
    events: Sequence[tuple[AxonEvent, int]]
    """With the axon's payload bytes up to each."""
    axons: Sequence[Axon]
    devboxes: dict[str, Devbox | None]
    claims: dict[str, AxonClaim | None]


def touched(draft: Draft) -> str:
    """What the row of this draft's commit tells other replicas."""
    keys = {
        "axons": list(draft.axons),
        "devboxes": list(draft.devboxes),
        "claims": list(draft.claims),
    }
    return json.dumps({table: names for table, names in keys.items() if names})


def newest_mark(session: Session) -> Mark:
    """Where the history ends."""
    row = session.execute(
        "SELECT version, stamp, position FROM journal_commit ORDER BY version DESC LIMIT 1"
    ).fetchone()
    return Mark(*row)


def read(session: Session, mark: Mark, commits: Sequence[Sequence[Any]]) -> News:
    """The news that these rows of `journal_commit` stand for."""
    keys: dict[str, dict[str, None]] = {"axons": {}, "devboxes": {}, "claims": {}}
    for _, _, _, text in commits:
        for table, names in json.loads(text).items():
            keys[table].update(dict.fromkeys(names))
    axons = loading.axons(session, list(keys["axons"])) if keys["axons"] else []
    devboxes: dict[str, Devbox | None] = dict.fromkeys(keys["devboxes"])
    if devboxes:
        devboxes.update({box.uid: box for box in loading.devboxes(session, list(devboxes))})
    claims: dict[str, AxonClaim | None] = dict.fromkeys(keys["claims"])
    if claims:
        claims.update({c.resource_uid: c for c in loading.claims(session, list(claims))})
    version, stamp, position, _ = commits[-1]
    events = _events(session, mark.position, position) if position > mark.position else []
    return News(Mark(version, stamp, position), events, axons, devboxes, claims)


def apply(base: Base, news: News) -> Committed:
    """Bring the base up to the news; returns what listeners here must hear."""
    for axon in news.axons:
        if axon.axon_id in base.axons:
            base.axons[axon.axon_id] = axon
        base.next_axon = max(base.next_axon, axon.number + 1)
    for event, total_bytes in news.events:
        if (head := base.heads.get(event.axon_id)) is not None:
            base.heads[event.axon_id] = head.moved(event, total_bytes)
    for uid, devbox in news.devboxes.items():
        base.put_devbox(uid, devbox)
    for resource_uid, claim in news.claims.items():
        base.put_claim(resource_uid, claim)
    deleted = [axon.axon_id for axon in news.axons if axon.deleted_at_ms is not None]
    # No wakes: the replica that committed pokes, and every replica's resync repairs.
    return Committed([event for event, _ in news.events], deleted_axons=deleted)


def _events(session: Session, after: int, last: int) -> list[tuple[AxonEvent, int]]:
    found = session.execute(
        f"SELECT axon_id, {rows.EVENT_FIELDS} FROM event JOIN axon ON number = axon"
        " WHERE position > ? AND position <= ? ORDER BY position",
        (after, last),
    )
    return [(rows.event_from(axon_id, tuple(row)), row[7]) for axon_id, *row in found]
