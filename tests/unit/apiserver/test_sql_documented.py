"""docs/sql.md says what the constants say."""

import re
from pathlib import Path

import pytest
from ranvier_apiserver.axon_sql import limits, policy

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "sql.md").read_text(encoding="utf-8")


def _row(begins: str) -> str:
    (found,) = re.findall(rf"^\| {re.escape(begins)}.*$", TEXT, re.MULTILINE)
    return str(found)


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ("time of a query", [f"{limits.REQUEST_SECONDS_MAX:g} s"]),
        ("time of a query", [f"{limits.REQUEST_SECONDS_MAX + limits.KILL_GRACE_SECONDS:g} s"]),
        ("memory of SQLite", [f"{limits.HEAP_BYTES_MAX // 1024**2} MiB"]),
        ("size of a database", [f"{limits.FILE_BYTES_MAX // 1024**3} GiB"]),
        ("size of a database", [f"{limits.KEPT_BYTES_MAX // 1024**2} MiB"]),
        ("rows of a result", [f"{limits.RESULT_ROWS_MAX:,}"]),
        ("bytes of an answer's rows", [f"{limits.RESULT_BYTES_MAX // 1024**2} MiB"]),
        ("one text, blob or row", [f"{limits.VALUE_BYTES_MAX // 1024**2} MiB"]),
        ("text of a statement", [f"{limits.SQL_BYTES_MAX // 1024} KiB"]),
        ("parameters of a statement", [f"{limits.PARAMETERS_MAX:,}"]),
        ("statements of a batch", [f"{limits.STATEMENTS_MAX:,}"]),
        ("body", [f"{limits.BODY_BYTES_MAX // 1024**2} MiB"]),
        ("columns, depth", [str(limits.COLUMNS_MAX), str(limits.EXPRESSION_DEPTH_MAX)]),
        ("SELECTs of a compound", [str(limits.COMPOUND_SELECTS_MAX)]),
        ("SELECTs of a compound", [str(limits.FUNCTION_ARGUMENTS_MAX)]),
        ("pattern of LIKE", [f"{limits.PATTERN_BYTES_MAX:,}"]),
        ("depth of triggers", [str(limits.TRIGGER_DEPTH_MAX)]),
        ("requests of one axon", [f"{limits.AXON_WORKERS_MAX}; {limits.AXON_WAITING_MAX}"]),
        ("requests of one axon", [f"at once {limits.KEPT_AXON_WORKERS_MAX} per API server"]),
        ("requests of all axons", [f"{limits.WORKERS_MAX}; {limits.WAITING_MAX}"]),
        ("waiting for a turn", [f"{limits.WAIT_SECONDS_MAX:g} s"]),
        ("answers kept", [f"{limits.ANSWERS_KEPT_MAX:,}"]),
        ("answers kept", [f"{limits.ANSWER_BYTES_KEPT_MAX // 1024**2} MiB"]),
        ("answers kept", [f"{limits.ANSWERS_KEPT_MS // 3_600_000} h"]),
    ],
)
def test_the_table_of_limits_is_that_of_the_constants(row: str, values: list[str]) -> None:
    for value in values:
        assert value in _row(row)


def test_every_pragma_that_is_there_is_named() -> None:
    for name in policy.PRAGMAS:
        assert f"`{name}`" in TEXT
