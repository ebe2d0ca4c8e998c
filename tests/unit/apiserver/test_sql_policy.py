"""What a user's SQL may do, asked as SQLite asks it."""

import pytest
from ranvier_apiserver.axon_sql import policy

KNOWN = policy.Known({"tasks"}, {"dbstat"})


def refusal(action: str, first: str | None, second: str | None, schema: str | None) -> str | None:
    return policy.refusal(action, first, second, schema, KNOWN)


@pytest.mark.parametrize(
    "asked",
    [
        ("SQLITE_SELECT", None, None, None),
        ("SQLITE_READ", "Tasks", "id", "main"),
        ("SQLITE_READ", "rl_axon_events", "payload", "main"),
        ("SQLITE_READ", "sqlite_master", "sql", "main"),
        ("SQLITE_READ", "json_each", "value", "main"),
        ("SQLITE_READ", "name_of_a_cte", "", None),
        ("SQLITE_READ", "pragma_table_info", "name", "main"),
        ("SQLITE_PRAGMA", "table_info", "tasks", None),
        ("SQLITE_FUNCTION", None, "json_extract", None),
        ("SQLITE_INSERT", "tasks", None, "main"),
        ("SQLITE_CREATE_TABLE", "new", None, "main"),
        ("SQLITE_ALTER_TABLE", "main", "tasks", None),
    ],
)
def test_ones_own_tables_and_the_axons_events_are_there(
    asked: tuple[str, str | None, str | None, str | None],
) -> None:
    assert refusal(*asked) is None


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("SQLITE_ATTACH", "x", None, None), "ATTACH"),
        (("SQLITE_TRANSACTION", "BEGIN", None, None), "as a batch"),
        (("SQLITE_INSERT", "RL_axon_events", None, "main"), "read-only"),
        (("SQLITE_READ", "rl_answer", "kept", "main"), "the server's"),
        (("SQLITE_READ", "dbstat", "name", "main"), "not one of this database"),
        (("SQLITE_READ", "dbstat", "", None), "not one of this database"),
        (("SQLITE_READ", "carray", "value", "main"), "not one of this database"),
        (("SQLITE_READ", "pragma_database_list", "file", "main"), "PRAGMA database_list"),
        (("SQLITE_PRAGMA", "writable_schema", "1", None), "PRAGMA writable_schema"),
        (("SQLITE_FUNCTION", None, "load_extension", None), "load_extension()"),
        (("SQLITE_CREATE_TEMP_TABLE", "t", None, "temp"), "Temporary"),
        (("SQLITE_INSERT", "t", None, "temp"), "Temporary"),
        (("SQLITE_CREATE_TRIGGER", "t", "rl_answer", "main"), "the server's"),
        (("SQLITE_CREATE_VTABLE", "t", "fts5", "main"), "Virtual tables"),
        (("SQLITE_WHATEVER_COMES_NEXT", None, None, None), "WHATEVER_COMES_NEXT"),
    ],
)
def test_what_is_not_named_is_refused_with_a_sentence(
    asked: tuple[str, str | None, str | None, str | None], says: str
) -> None:
    reason = refusal(*asked)
    assert reason is not None
    assert says in reason
    assert reason.endswith(".")
