"""One worker and what it answers: results, errors, retries, and the axon's events as a table."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journal_databases import ENGINES
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.axon_sql.files import files_of
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Outcome
from sql_desk import SqlDesk

EVENTS = 3_000
TYPES = ("turn.message_chunk", "turn.completed", "user.message")
ORIGINS = (Origin.AGENT, Origin.SYSTEM, Origin.USER)
NUMBERS = (2, 4, 3)


def _event(n: int) -> NewEvent:
    return NewEvent(ORIGINS[n % 3], "test", TYPES[n % 3], json.dumps({"n": n}))


@pytest.fixture(scope="module", params=ENGINES)
def long(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlDesk]:
    """An axon of several pages, and a second one that must never be seen from it."""
    events = [_event(n) for n in range(1, EVENTS + 1)]
    other = [NewEvent(Origin.USER, "other", "other", "other")] * 5
    folder = tmp_path_factory.mktemp("long")
    with closing(SqlDesk(folder, {"a": events, "b": other}, engine=request.param)) as made:
        yield made


@pytest.fixture(params=ENGINES)
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlDesk]:
    bounds = Limits(seconds=5, file_bytes=1024 * 1024)
    with closing(SqlDesk(tmp_path, {"a": [_event(1)]}, bounds, request.param)) as made:
        yield made


# --- results


def test_a_result_names_columns_and_their_declared_types(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT)")
    inserted = desk.answer("a", "INSERT INTO t (name) VALUES (?), (?)", "x", "y")
    assert inserted["meta"]["changes"] == 2
    assert (inserted["columns"], inserted["rows"]) == ([], [])
    found = desk.answer("a", "SELECT id, name, id + 1 AS next FROM t ORDER BY id")
    assert found["columns"] == [
        {"name": "id", "type": "INTEGER"},
        {"name": "name", "type": "TEXT"},
        {"name": "next", "type": ""},
    ]
    assert found["rows"] == [[1, "x", 2], [2, "y", 3]]
    assert found["meta"]["changes"] == 0
    assert found["meta"]["rows_read_limit_reached"] is False
    assert found["meta"]["duration_ms"] >= 0


def test_what_a_statement_returns_comes_with_what_it_changed(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    added = desk.answer("a", "INSERT INTO t (n) VALUES (1), (2) RETURNING id, n")
    assert (added["rows"], added["meta"]["changes"]) == ([[1, 1], [2, 2]], 2)
    assert desk.answer("a", "DELETE FROM t WHERE n = 1")["meta"]["changes"] == 1


def test_ordinary_sql_works(desk: SqlDesk) -> None:
    for sql in (
        "CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, a TEXT UNIQUE, b INTEGER DEFAULT 0)",
        "CREATE TABLE u (t_id INTEGER REFERENCES t (id) ON DELETE CASCADE, c TEXT CHECK (c <> ''))",
        "CREATE INDEX i ON t (b) WHERE b > 0",
        "CREATE VIEW v AS SELECT a, (SELECT count(*) FROM rl_axon_events) AS events FROM t",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO u VALUES (new.id, new.a); END",
        "INSERT INTO t (a) VALUES ('x') ON CONFLICT (a) DO UPDATE SET b = excluded.b",
        "INSERT INTO t (a, b) SELECT event_type, sequence FROM rl_axon_events",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 5)"
        " INSERT INTO t (a) SELECT 'n' || i FROM n",
        "UPDATE t SET b = u.rowid FROM u WHERE u.t_id = t.id",
        "ALTER TABLE t RENAME TO tasks",
        "ALTER TABLE tasks RENAME COLUMN b TO priority",
        "ALTER TABLE tasks ADD COLUMN note TEXT",
        "ALTER TABLE tasks DROP COLUMN note",
        "ANALYZE tasks",
        "REINDEX i",
        "SELECT value ->> '$.x' FROM json_each('[{\"x\": 1}]')",
        "SELECT * FROM pragma_table_info('tasks')",
        "PRAGMA table_list",
        "EXPLAIN QUERY PLAN SELECT * FROM v",
        "SELECT rank() OVER (ORDER BY priority), group_concat(a) FROM tasks GROUP BY a",
        "DELETE FROM tasks WHERE a = 'x'",
    ):
        desk.answer("a", sql)
    assert desk.rows("a", "SELECT a, events FROM v WHERE a = 'n1'") == [["n1", 1]]
    assert desk.rows("a", "SELECT count(*) FROM u WHERE c = 'x'") == [[0]]
    desk.answer("a", ("DROP TRIGGER g", "DROP VIEW v", "DROP INDEX i", "DROP TABLE u"))


def test_rows_beyond_the_limit_are_cut_and_it_is_told(desk: SqlDesk) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20000)"
    found = desk.answer("a", f"{numbers} SELECT i FROM n")
    assert len(found["rows"]) == limits.RESULT_ROWS_MAX
    assert found["meta"]["rows_read_limit_reached"] is True
    desk.answer("a", "CREATE TABLE t (i)")
    added = desk.answer("a", f"{numbers} INSERT INTO t SELECT i FROM n RETURNING i")
    assert added["meta"] | {"duration_ms": 0} == {
        "changes": 20_000,
        "duration_ms": 0,
        "rows_read_limit_reached": True,
    }
    assert desk.rows("a", "SELECT count(*) FROM t") == [[20_000]]


def test_reading_makes_no_file_and_writing_makes_one(desk: SqlDesk) -> None:
    assert desk.rows("a", "SELECT count(*) FROM rl_axon_events") == [[1]]
    assert desk.run("a", "CREATE TABLE t (a)", may_write=False).outcome is Outcome.FORBIDDEN
    assert desk.run("a", ("CREATE TABLE t (a)",), may_write=False).outcome is Outcome.FORBIDDEN
    assert files_of(desk.files) == []
    desk.answer("a", "CREATE TABLE t (a)")
    assert files_of(desk.files) == [desk.axons["a"].axon_id]
    assert desk.run("a", "DELETE FROM t", may_write=False).outcome is Outcome.FORBIDDEN
    assert desk.run("a", "SELECT * FROM t", may_write=False).outcome is Outcome.DONE


# --- errors


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELEC 1", 'near "SELEC": syntax error'),
        ("SELECT * FROM nowhere", "no such table: nowhere"),
        ("SELECT 1; SELECT 2", "Send them as a batch"),
        ("-- nothing", "no statement"),
        ("SELECT ?", "Incorrect number of bindings"),
        ("SELECT CAST(x'ff' AS TEXT)", "not UTF-8"),
        ("BEGIN", "as a batch"),
    ],
)
def test_an_error_says_what_sqlite_said_and_what_to_do(desk: SqlDesk, sql: str, says: str) -> None:
    text = desk.refused("a", sql)
    assert says in text
    assert text.endswith(".")


def test_a_second_statement_undoes_the_first(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (a)")
    desk.refused("a", "INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)")
    assert desk.rows("a", "SELECT count(*) FROM t") == [[0]]


def test_a_batch_is_all_or_nothing_and_says_which_statement_failed(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (a UNIQUE)")
    insert = "INSERT INTO t VALUES (1)"
    results = desk.answer("a", (insert, insert, "SELECT 1"))["results"]
    assert [list(result) for result in results] == [["success"], ["error"], ["error"]]
    assert "UNIQUE constraint failed: t.a" in results[1]["error"]["message"]
    assert "statement 2 failed" in results[2]["error"]["message"]
    assert desk.rows("a", "SELECT * FROM t") == []
    assert desk.answer("a", ())["results"] == []


@pytest.mark.parametrize("conflict", ["ROLLBACK", "FAIL", "ABORT"])
def test_a_batch_is_all_or_nothing_whatever_it_does_on_conflict(
    desk: SqlDesk, conflict: str
) -> None:
    desk.answer("a", "CREATE TABLE t (a UNIQUE)")
    statements = ("INSERT INTO t VALUES (1)", f"INSERT OR {conflict} INTO t VALUES (2), (1)")
    assert "error" in desk.answer("a", statements)["results"][1]
    assert desk.rows("a", "SELECT * FROM t") == []


def test_a_full_database_says_so_and_can_be_emptied(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (a)")
    fill = "INSERT INTO t SELECT randomblob(60000) FROM (VALUES (1), (2), (3), (4), (5))"
    texts = [desk.run("a", fill, once=f"{n:032x}") for n in range(5)]
    assert "size limit" in texts[-1].text
    desk.answer("a", "DELETE FROM t", once="ff" * 16)
    desk.answer("a", fill)


# --- retries


def test_a_retried_write_gets_the_first_answer_and_is_applied_once(desk: SqlDesk) -> None:
    desk.answer("a", "CREATE TABLE t (a)")
    batch = ("INSERT INTO t VALUES (random())", "SELECT a FROM t")
    first = desk.run("a", batch, once="01" * 16)
    desk.new_worker()
    assert desk.run("a", batch, once="01" * 16) == first
    assert desk.rows("a", "SELECT count(*) FROM t") == [[1]]
    query = "INSERT INTO t VALUES (random()) RETURNING a"
    assert desk.run("a", query, once="02" * 16) == desk.run("a", query, once="02" * 16)
    assert desk.run("a", query, once="03" * 16) != desk.run("a", query, once="04" * 16)
    assert desk.rows("a", "SELECT count(*) FROM t") == [[4]]


def test_a_write_that_failed_is_tried_again(desk: SqlDesk) -> None:
    write = ("INSERT INTO t VALUES (1)",)
    assert "error" in desk.answer("a", write, once="01" * 16)["results"][0]
    desk.answer("a", "CREATE TABLE t (a)")
    assert "success" in desk.answer("a", write, once="01" * 16)["results"][0]


def test_answers_are_kept_in_bounded_number_and_bytes(tmp_path: Path) -> None:
    bounds = Limits(seconds=5, answers_kept=3, answer_bytes_kept=2_000)
    desk = SqlDesk(tmp_path, {"a": []}, bounds)
    desk.answer("a", "CREATE TABLE t (a)")
    small = "INSERT INTO t VALUES (1) RETURNING 1"
    for n in range(5):
        desk.answer("a", small, once=f"{n:032x}")
    assert _applied_again(desk, small, range(5)) == [0, 1]
    large = "INSERT INTO t VALUES (1) RETURNING hex(zeroblob(600))"
    for n in range(10, 13):
        desk.answer("a", large, once=f"{n:032x}")
    assert _applied_again(desk, large, [12]) == []


def _applied_again(desk: SqlDesk, sql: str, ids: Sequence[int]) -> list[int]:
    """Of these requests those that a retry applies a second time, newest asked first."""
    again = []
    for n in sorted(ids, reverse=True):
        before = desk.rows("a", "SELECT count(*) FROM t")
        desk.answer("a", sql, once=f"{n:032x}")
        if desk.rows("a", "SELECT count(*) FROM t") != before:
            again.append(n)
    return sorted(again)


# --- the axon's events


def test_the_newest_events_come_without_reading_the_oldest(long: SqlDesk) -> None:
    sql = "SELECT sequence, origin, payload FROM rl_axon_events ORDER BY sequence DESC LIMIT 2"
    newest = [[n, NUMBERS[n % 3], json.dumps({"n": n})] for n in (EVENTS, EVENTS - 1)]
    assert long.rows("a", sql) == newest
    plan = long.rows("a", f"EXPLAIN QUERY PLAN {sql}")
    assert not any("TEMP B-TREE" in row[3] for row in plan)


def test_events_join_with_ones_own_tables(long: SqlDesk) -> None:
    long.answer("a", "CREATE TABLE IF NOT EXISTS seen (sequence INTEGER)")
    long.answer("a", "INSERT INTO seen VALUES (7), (2999), (99999)")
    joined = "SELECT e.sequence, e.event_type FROM seen JOIN rl_axon_events e USING (sequence)"
    assert long.rows("a", joined) == [[7, TYPES[7 % 3]], [2999, TYPES[2999 % 3]]]


def test_one_request_sees_one_head(long: SqlDesk) -> None:
    counts = (
        "SELECT (SELECT count(*) FROM rl_axon_events), (SELECT max(sequence) FROM rl_axon_events)"
    )
    assert long.rows("a", counts) == [[EVENTS, EVENTS]]
    assert long.rows("b", counts) == [[5, 5]]


bounds = st.one_of(st.integers(-5, EVENTS + 5), st.floats(-5, EVENTS + 5), st.text(max_size=2))
conditions = st.one_of(
    st.tuples(
        st.sampled_from(["sequence", "rowid"]), st.sampled_from(["=", "<", "<=", ">", ">="]), bounds
    ),
    st.tuples(st.just("origin"), st.just("="), st.integers(0, 5)),
    st.tuples(
        st.just("event_type"), st.just("="), st.sampled_from([*TYPES, "none", "TURN.completed"])
    ),
    st.tuples(st.just("event_type COLLATE NOCASE"), st.just("="), st.just("TURN.COMPLETED")),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(conditions, max_size=3), st.sampled_from(["", "ASC", "DESC"]))
def test_every_filter_finds_what_a_plain_table_would(
    long: SqlDesk, where: list[tuple[str, str, Any]], order: str
) -> None:
    long.answer(
        "a",
        "CREATE TABLE IF NOT EXISTS plain"
        " (sequence INTEGER PRIMARY KEY, origin INTEGER, event_type TEXT, payload TEXT)",
    )
    if long.rows("a", "SELECT count(*) FROM plain") == [[0]]:
        long.answer(
            "a",
            "INSERT INTO plain SELECT sequence, origin, event_type, payload FROM rl_axon_events",
        )
    terms = " AND ".join(f"{column} {operator} ?" for column, operator, _ in where) or "1"
    sql = f"SELECT sequence, payload FROM {{}} WHERE {terms} ORDER BY sequence {order}"
    values = [value for *_, value in where]
    assert long.rows("a", sql.format("rl_axon_events"), *values) == long.rows(
        "a", sql.format("plain"), *values
    )
