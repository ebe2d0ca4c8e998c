"""What a user's SQL may do: everything within its own database, and nothing that leaves it. Pure.

SQLite asks before it compiles each access. The answer to what is not named here is no. It is never
judged by the name of the view or query that asks, because a common table expression may carry any
name; the journal's events are safe because no connection that runs users' SQL has the journal open.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESERVED_PREFIX: Final = "rl_"
"""Names that begin so are the server's."""

EVENTS_TABLE: Final = "rl_axon_events"
"""The journal's events of this axon, for reading."""

ANSWERS_TABLE: Final = "rl_answer"
"""First answers for retries; not shown."""

PRAGMAS: Final = _words(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list"
)
"""Those that only describe the user's own tables."""

TABLE_FUNCTIONS: Final = frozenset({"json_each", "json_tree"})

SCHEMA_TABLES: Final = _words(
    "sqlite_master sqlite_schema sqlite_temp_master sqlite_sequence sqlite_stat1 sqlite_stat4"
)
"""SQLite writes them on behalf of DDL, and itself refuses users who try to."""

FUNCTIONS: Final = _words(
    """
    -> ->> abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling changes char coalesce concat
    concat_ws cos cosh count cume_dist current_date current_time current_timestamp date datetime
    degrees dense_rank exp first_value floor format glob group_concat hex if ifnull iif instr json
    json_array json_array_insert json_array_length json_error_position json_extract json_group_array
    json_group_object json_insert json_object json_patch json_pretty json_quote json_remove
    json_replace json_set json_type json_valid jsonb jsonb_array jsonb_array_insert jsonb_extract
    jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove
    jsonb_replace jsonb_set julianday lag last_insert_rowid last_value lead length like likelihood
    likely ln log log10 log2 lower ltrim max median min mod nth_value ntile nullif octet_length
    percent_rank percentile percentile_cont percentile_disc pi pow power printf quote radians random
    randomblob rank replace round row_number rtrim sign sin sinh sqlite_version sqrt strftime
    string_agg substr substring sum tan tanh time timediff total total_changes trim trunc typeof
    unhex unicode unistr unistr_quote unixepoch unlikely upper zeroblob
    """
)

DDL_FUNCTIONS: Final = _words(
    """
    sqlite_rename_table sqlite_rename_column sqlite_rename_test sqlite_rename_quotefix
    sqlite_drop_column sqlite_add_constraint sqlite_drop_constraint sqlite_find_constraint
    sqlite_fail
    """
)
"""What ALTER TABLE is made of; SQLite itself hides them from users."""

_REASONS: Final[Mapping[str, str]] = {
    "SQLITE_ATTACH": "ATTACH and VACUUM are not available: an axon has this one database.",
    "SQLITE_DETACH": "DETACH is not available: an axon has this one database.",
    "SQLITE_TRANSACTION": (
        "Transactions are not written out: a query is one, and so is a batch. Send the statements "
        "as a batch."
    ),
    "SQLITE_SAVEPOINT": "Savepoints are not available: a batch is one transaction.",
    "SQLITE_CREATE_VTABLE": "Virtual tables are not available.",
    "SQLITE_DROP_VTABLE": "Virtual tables are not available.",
}
_TEMPORARY: Final = "Temporary tables are not available: each request may meet another connection."


@dataclass(frozen=True, slots=True)
class Known:
    """Names in lower case. SQLite has tables that stand in no database, and says so by no other
    sign than that their names are not among `tables`, the database's own and its views."""

    tables: Container[str]
    modules: Container[str]


Second = str | None
Rule = Callable[[str, str, Second], str | None]
"""(first, second, schema), names in lower case → why not, or None."""


def refusal(
    action: str, first: Second, second: Second, schema: Second, known: "Known"
) -> str | None:
    """Why SQLite may not do this, as a sentence; None when it may.

    `action` is the name of SQLite's authorizer code; https://sqlite.org/c3ref/c_alter_table.html
    says what first and second mean for each.
    """
    if "_TEMP_" in action:
        return _TEMPORARY
    if action == "SQLITE_READ":
        return _read((first or "").lower(), second or "", known)
    rule = _RULES.get(action)
    if rule is None:
        return _REASONS.get(action, f"{action.removeprefix('SQLITE_')} is not available.")
    return rule((first or "").lower(), (second or "").lower(), schema)


def _yes(_: str, __: str, ___: Second) -> None:
    return None


def _read(table: str, column: str, known: "Known") -> str | None:
    if table == EVENTS_TABLE or table in SCHEMA_TABLES or table in TABLE_FUNCTIONS:
        return None
    if table.startswith("pragma_"):
        return _pragma(table.removeprefix("pragma_"), "", None)
    if reason := _own(table):
        return reason
    # Rows that are counted without a look at a column come by the name in the query, which may be
    # that of a common table expression.
    if table in known.tables or (not column and table not in known.modules):
        return None
    return f"The table {table} is not one of this database."


def _write(table: str, _: str, schema: Second) -> str | None:
    if table == EVENTS_TABLE:
        return f"{EVENTS_TABLE} is read-only: events are immutable. POST …/publish appends one."
    if table in SCHEMA_TABLES:
        return None
    return _own(table) or _main(schema)


def _create(name: str, on_table: str, schema: Second) -> str | None:
    return _own(name) or _own(on_table) or _main(schema)


def _alter(_: str, table: str, __: Second) -> str | None:
    return _own(table)


def _rebuild(name: str, _: str, __: Second) -> str | None:
    return _own(name.removeprefix("sqlite_autoindex_"))


def _function(_: str, name: str, __: Second) -> str | None:
    if name in FUNCTIONS or name in DDL_FUNCTIONS:
        return None
    return f"The function {name}() is not available."


def _pragma(name: str, _: str, __: Second) -> str | None:
    if name in PRAGMAS:
        return None
    return f"PRAGMA {name} is not available; of pragmas only {', '.join(sorted(PRAGMAS))} are."


def _own(name: str) -> str | None:
    if name.startswith(RESERVED_PREFIX):
        return (
            f"Names that begin with {RESERVED_PREFIX!r} are the server's; of these only "
            f"{EVENTS_TABLE} can be read."
        )
    return None


def _main(schema: Second) -> str | None:
    return None if schema in (None, "main") else _TEMPORARY


_RULES: Final[Mapping[str, Rule]] = {
    "SQLITE_SELECT": _yes,
    "SQLITE_RECURSIVE": _yes,
    "SQLITE_FUNCTION": _function,
    "SQLITE_PRAGMA": _pragma,
    "SQLITE_INSERT": _write,
    "SQLITE_UPDATE": _write,
    "SQLITE_DELETE": _write,
    "SQLITE_CREATE_TABLE": _create,
    "SQLITE_CREATE_INDEX": _create,
    "SQLITE_CREATE_VIEW": _create,
    "SQLITE_CREATE_TRIGGER": _create,
    "SQLITE_DROP_TABLE": _create,
    "SQLITE_DROP_INDEX": _create,
    "SQLITE_DROP_VIEW": _create,
    "SQLITE_DROP_TRIGGER": _create,
    "SQLITE_ALTER_TABLE": _alter,
    "SQLITE_ANALYZE": _rebuild,
    "SQLITE_REINDEX": _rebuild,
}
