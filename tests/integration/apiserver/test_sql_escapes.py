"""What a user's SQL says does not leave the user's database: attempts, all of them refused."""

import json
from collections.abc import Iterator

import apsw
import psycopg
import pytest
from journal_databases import ENGINES, PostgresDatabase
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.axon_sql.limits import HEAP_BYTES_MAX
from ranvier_apiserver.axon_sql.wire import Outcome
from sql_desk import Sql, SqlDesk
from sql_escapes import ESCAPES

SECRET = "the-secret-of-another-axon"
ATTEMPTS = [
    pytest.param(attempt, id=f"{category}-{number}")
    for category, attempts in ESCAPES.items()
    for number, attempt in enumerate(attempts)
]


@pytest.fixture(scope="module", params=ENGINES)
def desk(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SqlDesk]:
    """Two axons, each with events and a database; `victim` holds secrets."""
    folder = tmp_path_factory.mktemp("escapes")
    payloads = {"attacker": "own", "victim": SECRET}
    events = {n: [NewEvent(Origin.USER, "test", "t", text)] for n, text in payloads.items()}
    desk = SqlDesk(folder, events, engine=request.param)
    desk.answer("attacker", "CREATE TABLE mine (a)")
    desk.answer("victim", ("CREATE TABLE secret (a)", f"INSERT INTO secret VALUES ('{SECRET}')"))
    (desk.files / "victim.sqlite3").symlink_to(
        desk.files / f"{desk.axons['victim'].axon_id}.sqlite3"
    )
    own = desk.axons["attacker"].axon_id
    desk.rows("attacker", "SELECT * FROM rl_axon_events")  # makes the journal's log, empty
    before = _contents(desk, own)
    memory = apsw.hard_heap_limit(HEAP_BYTES_MAX)
    yield desk
    apsw.hard_heap_limit(memory)
    after = _contents(desk, own)
    desk.close()
    assert after.keys() == before.keys()
    assert after == before


def _contents(desk: SqlDesk, own: str) -> dict[str, bytes]:
    """All files but the attacker's own and shared memory, with their bytes; on PostgreSQL also the
    rows of all others' databases, and of the journal."""
    contents = {
        path.name: path.read_bytes()
        for folder in {desk.folder, desk.files}
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(own) and not path.name.endswith("-shm")
    }
    if isinstance(desk.database, PostgresDatabase):
        number = desk.axons["attacker"].number
        with psycopg.connect(desk.database.url) as connection:
            for table, column in (("axon_sql_page", "axon"), ("axon", "0"), ("event", "0")):
                select = f"SELECT * FROM ranvier.{table} WHERE {column} <> {number} ORDER BY 1, 2"
                contents[table] = repr(connection.execute(select.encode()).fetchall()).encode()
    return contents


def test_the_list_is_long_and_says_nothing_twice() -> None:
    every = [attempt for attempts in ESCAPES.values() for attempt in attempts]
    assert len(every) == len(set(every)) >= 200


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_every_escape_is_refused(desk: SqlDesk, attempt: Sql) -> None:
    reply = desk.run("attacker", attempt)
    assert SECRET not in reply.text
    if reply.outcome is Outcome.DONE:
        results = json.loads(reply.body)["results"]
        assert any("error" in result for result in results), reply.text[:500]
    else:
        assert reply.outcome in (Outcome.SQL_ERROR, Outcome.STOPPED), reply.text
    assert desk.rows("attacker", "SELECT payload FROM rl_axon_events") == [["own"]]
    tables = "SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%'"
    assert desk.rows("attacker", tables) == [["rl_answer"], ["mine"]]
    assert desk.rows("attacker", "SELECT * FROM mine") == []
