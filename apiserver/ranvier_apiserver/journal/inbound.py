"""Finds what brokers read among what agents said, without walking over the latter.

Every row tells the newest inbound event up to itself (`inbound`), and within an axon that never
falls: halving finds where it first lies behind a cursor. Two rows side by side prove the answer,
whatever led to them; both are checked (J7), as far as their checksums go: those of rows from before
the column do not cover it.
"""

from typing import Final

from ranvier.events import AxonEvent

from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal import rows
from ranvier_apiserver.journal.engine import Session
from ranvier_apiserver.state import Axon

_HALVING: Final = """
WITH RECURSIVE search (low, high) AS (
  SELECT CAST(? AS bigint), CAST(? AS bigint)
  UNION ALL
  SELECT
    CASE WHEN inbound > ? THEN low ELSE sequence END,
    CASE WHEN inbound > ? THEN sequence ELSE high END
  FROM search CROSS JOIN event
  WHERE high - low > 1 AND axon = ? AND sequence = (low + high) / 2
)
SELECT max(low), min(high) FROM search
"""
"""All that lies at or before `low` has no inbound event behind the cursor; `high` has one."""


def first_after(session: Session, axon: Axon, after: int, newest: int) -> AxonEvent | None:
    """The first inbound event behind `after`; `newest` is the axon's newest inbound one.

    Reads some twenty rows of a million. Raises JournalDamaged.
    """
    if newest <= after:
        return None
    low, high = session.execute(_HALVING, (after, newest, after, after, axon.number)).fetchone()
    found = session.execute(
        f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? AND sequence IN (?, ?)"
        " ORDER BY sequence DESC",
        (axon.number, high, low),
    ).fetchall()
    for row in found:
        rows.expect_whole(axon.axon_id, row)
    told = {row[1]: row[-2] for row in found}
    is_proved = high - low == 1 and told.get(high) == high and told.get(low, 0) <= after
    if not is_proved:
        raise _missing(axon, f"behind {after}")
    return rows.event_from(axon.axon_id, found[0])


def newest_up_to(session: Session, axon: Axon, sequence: int) -> int:
    """The newest inbound event at or before this one, 0 for none. Raises JournalDamaged."""
    if sequence < 1:
        return 0
    row = session.execute(
        f"SELECT {rows.EVENT_FIELDS} FROM event WHERE axon = ? AND sequence = ?",
        (axon.number, sequence),
    ).fetchone()
    if row is None:
        raise _missing(axon, f"at {sequence}")
    rows.expect_whole(axon.axon_id, row)
    return int(row[-2])


def _missing(axon: Axon, where: str) -> JournalDamaged:
    return JournalDamaged(
        f"Events of axon {axon.axon_id!r} {where} are missing on disk. "
        "The axon is refused; restore the journal from a backup."
    )
