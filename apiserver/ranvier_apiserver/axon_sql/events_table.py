"""`rl_axon_events`: the axon's events as a table of the user's database, without being in it.

SQLite asks this module for rows, and it asks the journal for those of the one axon that the request
is about. No SQL can name another axon, because the axon is not part of the SQL.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import apsw

from ranvier_apiserver.axon_sql.event_reads import EventPages, Events, Row, Wanted
from ranvier_apiserver.axon_sql.policy import EVENTS_TABLE

SCHEMA: Final = (
    "CREATE TABLE events (sequence INTEGER NOT NULL, timestamp_ms INTEGER NOT NULL,"
    " origin INTEGER NOT NULL, source TEXT NOT NULL, event_type TEXT NOT NULL,"
    " payload TEXT NOT NULL)"
)
SEQUENCE, ORIGIN, EVENT_TYPE, PAYLOAD = 0, 2, 4, 5
ROWID: Final = -1

WITH_PAYLOAD: Final = 1
NEWEST_FIRST: Final = 2
"""Bits of a plan's number."""

COST_OF_ONE: Final = 10.0
COST_OF_RANGE: Final = 10_000.0
COST_OF_ALL: Final = 1_000_000.0

_OPERATORS: Final[Mapping[int, str]] = {
    apsw.SQLITE_INDEX_CONSTRAINT_EQ: "=",
    apsw.SQLITE_INDEX_CONSTRAINT_GT: ">",
    apsw.SQLITE_INDEX_CONSTRAINT_GE: ">",
    apsw.SQLITE_INDEX_CONSTRAINT_LT: "<",
    apsw.SQLITE_INDEX_CONSTRAINT_LE: "<",
}
"""Bounds are taken inclusively: SQLite checks each row again anyway."""


class EventsTable:
    """Module and table in one: a connection has one. `aim` says which axon a request is about."""

    def __init__(self, events: Events, tick: Callable[[], None]) -> None:
        self._events = events
        self._tick = tick
        self._axon = ("", 0)
        self._head: int | None = None

    def register(self, connection: apsw.Connection) -> None:
        # apsw's type of a module names calls that it makes only if they are there.
        module: Any = self
        connection.create_module(
            EVENTS_TABLE, module, use_bestindex_object=True, eponymous_only=True, read_only=True
        )

    def aim(self, axon_id: str, number: int) -> None:
        """From here on the table holds this axon's events up to now; one request sees one head."""
        self._axon = (axon_id, number)
        self._head = None

    # --- what SQLite calls; names are apsw's

    def Connect(self, connection: apsw.Connection, *_: str) -> tuple[str, "EventsTable"]:
        # So that the user's views and triggers may name it: reading events harms nothing.
        connection.vtab_config(apsw.SQLITE_VTAB_INNOCUOUS)
        return SCHEMA, self

    Create = Connect

    def BestIndexObject(self, info: apsw.IndexInfo) -> bool:
        """Which comparisons the journal can use: of sequence, and equality of origin and type."""
        terms = []
        for i in range(info.nConstraint):
            operator = _OPERATORS.get(info.get_aConstraint_op(i))
            if operator is None or not info.get_aConstraint_usable(i):
                continue
            if (term := _term(info, i, operator)) is not None:
                terms.append(term)
                info.set_aConstraintUsage_argvIndex(i, len(terms))
        info.idxStr = " ".join(terms)
        info.idxNum = WITH_PAYLOAD if PAYLOAD in info.colUsed else 0
        if info.nOrderBy == 1 and info.get_aOrderBy_iColumn(0) in (SEQUENCE, ROWID):
            info.orderByConsumed = True
            info.idxNum |= NEWEST_FIRST if info.get_aOrderBy_desc(0) else 0
        unique = "s=" in terms
        info.estimatedCost = COST_OF_ONE if unique else COST_OF_RANGE if terms else COST_OF_ALL
        info.estimatedRows = int(info.estimatedCost / COST_OF_ONE)
        return True

    def Open(self) -> "EventsCursor":
        return EventsCursor(self)

    def Disconnect(self) -> None:
        pass

    Destroy = Disconnect

    def pages(self, plan: int, terms: str, values: Sequence[Any]) -> EventPages:
        if self._head is None:
            self._head = self._events.head(self._axon[1])
        wanted = wanted_by(plan, terms.split(), values, self._head)
        return EventPages(self._events, *self._axon, wanted, self._tick)


class EventsCursor:
    """One walk over events; holds one page."""

    def __init__(self, table: EventsTable) -> None:
        self._table = table
        self._pages: EventPages
        self._page: list[Row] = []
        self._at = 0

    def Filter(self, plan: int, terms: str | None, values: Sequence[Any]) -> None:
        self._pages = self._table.pages(plan, terms or "", values)
        self._load()

    def Next(self) -> None:
        self._at += 1
        if self._at >= len(self._page):
            self._load()

    def Eof(self) -> bool:
        return not self._page

    def Column(self, number: int) -> Any:
        return self._page[self._at][max(SEQUENCE, number)]

    def Rowid(self) -> int:
        return int(self._page[self._at][SEQUENCE])

    def Close(self) -> None:
        self._page = []

    def _load(self) -> None:
        self._page = self._pages.next()
        self._at = 0


def wanted_by(plan: int, terms: Sequence[str], values: Sequence[Any], head: int) -> Wanted:
    """The events that a plan's terms leave; those that they leave out in error are none."""
    first, last, origin, event_type = 1, head, None, None
    for term, value in zip(terms, values, strict=True):
        if term == "o=" and isinstance(value, int):
            origin = value
        elif term == "t=" and isinstance(value, str):
            event_type = value
        elif term[0] == "s" and isinstance(value, int | float) and math.isfinite(value):
            if term[1] in "=>":
                first = max(first, math.floor(value))
            if term[1] in "=<":
                last = min(last, math.ceil(value))
    return Wanted(
        first, last, bool(plan & NEWEST_FIRST), bool(plan & WITH_PAYLOAD), origin, event_type
    )


def _term(info: apsw.IndexInfo, i: int, operator: str) -> str | None:
    column = info.get_aConstraint_iColumn(i)
    if column in (SEQUENCE, ROWID):
        return f"s{operator}"
    if operator != "=":
        return None
    if column == ORIGIN:
        return "o="
    # Another collation would find more than the journal's comparison of bytes does.
    if column == EVENT_TYPE and info.get_aConstraint_collation(i) == "BINARY":
        return "t="
    return None
