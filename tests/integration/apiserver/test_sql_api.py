"""SQL over HTTP: the published Python SDK, unchanged; keys, limits, deletion, kill -9."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_process import KEY, OPERATOR, READER, ApiServer, create, publish, running
from journal_databases import ENGINES, new_database
from preloaded import Loaded
from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.routes.sql_wire import SqlBatchView, SqlResultView
from runloop_api_client import AsyncRunloopSDK, BadRequestError, NotFoundError, RunloopSDK

GONE_SECONDS = 10


@pytest.fixture(scope="module", params=ENGINES)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ApiServer]:
    """One process for all tests that neither stop it nor look at its files, on each engine."""
    folder = tmp_path_factory.mktemp("shared")
    yield from running(folder, new_database(request.param, folder / "data").flags())


@pytest.fixture(params=ENGINES)
def any_server(
    request: pytest.FixtureRequest, tmp_path: Path, loaded: Loaded
) -> Iterator[ApiServer]:
    """A process of the test's own, on each engine."""
    yield from running(tmp_path, new_database(request.param, tmp_path / "data").flags(), loaded)


@pytest.fixture
async def runloop(shared: ApiServer) -> AsyncIterator[AsyncRunloopSDK]:
    async with AsyncRunloopSDK(bearer_token=KEY, base_url=shared.url) as sdk:
        yield sdk


async def sql(
    api: httpx.AsyncClient, axon_id: str, text: str, *params: Any, request_id: str = ""
) -> httpx.Response:
    headers = {"x-request-id": request_id} if request_id else {}
    body = {"sql": text, "params": list(params)}
    return await api.post(f"/v1/axons/{axon_id}/sql/query", json=body, headers=headers)


# --- the published SDK


async def test_the_examples_of_the_published_sdk(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    await axon.sql.query(sql="CREATE TABLE tasks (id INTEGER PRIMARY KEY, name TEXT)")
    inserted = await axon.sql.query(sql="INSERT INTO tasks (name) VALUES (?)", params=["review"])
    assert inserted.meta.changes == 1
    result = await axon.sql.query(sql="SELECT * FROM tasks WHERE id = ?", params=[1])
    assert result.rows == [[1, "review"]]
    assert [(column.name, column.type) for column in result.columns] == [
        ("id", "INTEGER"),
        ("name", "TEXT"),
    ]
    assert result.meta.rows_read_limit_reached is False
    assert result.meta.duration_ms >= 0


async def test_structured_state_as_the_documentation_names_it(runloop: AsyncRunloopSDK) -> None:
    """Seed 000: "configuration, task queues, or key-value pairs"."""
    axon = await runloop.axon.create()
    batch = await axon.sql.batch(
        statements=[
            {"sql": "CREATE TABLE config (key TEXT PRIMARY KEY, value TEXT)"},
            {"sql": "INSERT INTO config VALUES (?, ?)", "params": ["model", "fast"]},
            {"sql": "CREATE TABLE queue (id INTEGER PRIMARY KEY, job TEXT, taken INTEGER)"},
            {"sql": "INSERT INTO queue (job) VALUES (?), (?)", "params": ["lint", "test"]},
            {"sql": "SELECT value FROM config WHERE key = 'model'"},
        ]
    )
    assert all(step.error is None for step in batch.results)
    last = batch.results[-1].success
    assert last is not None
    assert last.rows == [["fast"]]
    take = (
        "UPDATE queue SET taken = 1 WHERE id ="
        " (SELECT id FROM queue WHERE taken IS NULL ORDER BY id LIMIT 1) RETURNING job"
    )
    taken = await asyncio.gather(*(axon.sql.query(sql=take) for _ in range(3)))
    assert sorted(result.rows for result in taken) == [[], [["lint"]], [["test"]]]


async def test_the_journal_is_a_table(runloop: AsyncRunloopSDK) -> None:
    axon, other = await runloop.axon.create(), await runloop.axon.create()
    for n, origin in enumerate(("EXTERNAL_EVENT", "AGENT_EVENT", "USER_EVENT"), start=1):
        published = await axon.publish(
            source="cli", event_type="t", origin=origin, payload=json.dumps({"n": n})
        )
        await other.publish(source="cli", event_type="t", origin=origin, payload="other")
    found = await axon.sql.query(sql="SELECT * FROM rl_axon_events ORDER BY sequence")
    names = ["sequence", "timestamp_ms", "origin", "source", "event_type", "payload"]
    assert [column.name for column in found.columns] == names
    rows = [[int(str(row[0])), row[2], row[5]] for row in found.rows if isinstance(row, list)]
    assert rows == [[n, n, json.dumps({"n": n})] for n in (1, 2, 3)]
    last = found.rows[-1]
    assert isinstance(last, list)
    assert last[1] == published.timestamp_ms


async def test_a_failed_batch_is_told_step_by_step(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    statements = ["CREATE TABLE t (a)", "SELECT nonsense", "SELECT 1"]
    batch = await axon.sql.batch(statements=[{"sql": text} for text in statements])
    errors = [step.error and step.error.message for step in batch.results]
    assert errors[0] is None
    assert "no such column: nonsense" in (errors[1] or "")
    assert "Not run" in (errors[2] or "")
    with pytest.raises(BadRequestError, match="no such table: t"):
        await axon.sql.query(sql="SELECT * FROM t")


async def test_an_unknown_or_deleted_axon_is_not_found(runloop: AsyncRunloopSDK) -> None:
    with pytest.raises(NotFoundError, match="There is no axon"):
        await runloop.axon.from_id("axn_none").sql.query(sql="SELECT 1")
    axon = await runloop.axon.create()
    await axon.sql.query(sql="CREATE TABLE t (a)")
    await runloop.api.axons.delete(axon.id)
    with pytest.raises(NotFoundError, match="was deleted"):
        await axon.sql.query(sql="SELECT * FROM t")


def test_the_synchronous_client_and_its_retries(shared: ApiServer) -> None:
    with RunloopSDK(bearer_token=KEY, base_url=shared.url) as sdk:
        axon = sdk.axon.create()
        axon.sql.query(sql="CREATE TABLE t (a)")
        for _ in range(2):
            axon.sql.query(sql="INSERT INTO t VALUES (1)", idempotency_key="once")
            axon.sql.batch(statements=[{"sql": "INSERT INTO t VALUES (2)"}], idempotency_key="once")
        assert axon.sql.query(sql="SELECT a FROM t").rows == [[1], [2]]


# --- values


async def test_values_come_back_as_they_went_in(api: httpx.AsyncClient) -> None:
    axon_id = await create(api)
    values = [None, 2**63 - 1, -(2**63), 1.5, "ä\0\n", {"base64": "AP8="}]
    answer = await sql(api, axon_id, f"SELECT {', '.join('?' * len(values))}, 9e999", *values)
    SqlResultView.model_validate_json(answer.content)
    assert answer.json()["rows"] == [[*values, float("inf")]]


# --- keys and limits


async def test_a_reading_key_may_read_and_not_write(
    api: httpx.AsyncClient, shared: ApiServer
) -> None:
    axon_id = await create(api)
    await sql(api, axon_id, "CREATE TABLE t (a)")
    async with shared.client(READER) as reader:
        assert (await sql(reader, axon_id, "SELECT * FROM t")).status_code == 200
        refused = await sql(reader, axon_id, "INSERT INTO t VALUES (1)")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    async with shared.client(OPERATOR) as operator:
        assert (await sql(operator, axon_id, "SELECT 1")).status_code == 403


@pytest.mark.parametrize(
    ("route", "body", "status"),
    [
        ("query", {}, 422),
        ("query", {"sql": ""}, 422),
        ("query", {"sql": "SELECT 1", "params": {"a": 1}}, 422),
        ("query", {"sql": "SELECT 1", "params": [0] * (limits.PARAMETERS_MAX + 1)}, 422),
        ("query", {"sql": "x" * (limits.SQL_BYTES_MAX + 1)}, 422),
        ("query", {"sql": "SELECT ?", "params": [[1]]}, 400),
        ("query", {"sql": "SELECT ?", "params": ["x" * limits.BODY_BYTES_MAX]}, 413),
        ("batch", {"statements": [{"sql": "SELECT 1"}] * (limits.STATEMENTS_MAX + 1)}, 422),
        ("batch", {"statements": [{}]}, 422),
    ],
)
async def test_what_is_too_much_or_malformed_is_refused(
    api: httpx.AsyncClient, route: str, body: dict[str, Any], status: int
) -> None:
    axon_id = await create(api)
    answer = await api.post(f"/v1/axons/{axon_id}/sql/{route}", json=body)
    assert answer.status_code == status, answer.text[:300]
    assert answer.json()["message"].endswith(".")


# --- files


async def _until_files(server: ApiServer, expected: set[str]) -> None:
    folder = server.folder / "data" / "sql"
    async with asyncio.timeout(GONE_SECONDS):
        while {path.name for path in folder.iterdir()} != expected:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_database_goes_with_its_axon(server: ApiServer) -> None:
    async with server.client() as api:
        kept, gone, crashed = [await create(api) for _ in range(3)]
        for axon_id in (kept, gone, crashed):
            assert (await sql(api, axon_id, "CREATE TABLE t (a)")).status_code == 200
        files = {f"{i}.sqlite3{end}" for i in (kept, crashed) for end in ("", "-wal", "-shm")}
        await api.delete(f"/v1/axons/{gone}")
        await _until_files(server, files)
    # A crash between the axon's deletion and its file's: the next start finds the file.
    file = server.folder / "data" / "sql" / f"{crashed}.sqlite3"
    async with server.client() as api:
        assert server.process is not None
        content = file.read_bytes()
        await api.delete(f"/v1/axons/{crashed}")
        await _until_files(server, {name for name in files if kept in name})
    server.kill()
    file.write_bytes(content)
    server.start()
    async with server.client() as api:
        assert (await sql(api, kept, "SELECT * FROM t")).status_code == 200
        await _until_files(server, {name for name in files if kept in name})


async def test_a_damaged_database_is_refused_and_others_are_not(server: ApiServer) -> None:
    async with server.client() as api:
        damaged, sound = await create(api), await create(api)
        for axon_id in (damaged, sound):
            await sql(api, axon_id, "CREATE TABLE t (a)")
    server.kill()
    file = server.folder / "data" / "sql" / f"{damaged}.sqlite3"
    file.write_bytes(b"not a database" * 1000)
    file.with_name(f"{file.name}-wal").unlink()
    server.start()
    async with server.client() as api:
        answer = await sql(api, damaged, "SELECT 1")
        assert (answer.status_code, answer.headers["x-should-retry"]) == (500, "false")
        assert f"{damaged}.sqlite3" in answer.json()["message"]
        assert (await sql(api, sound, "SELECT * FROM t")).status_code == 200
        assert (await publish(api, damaged)).status_code == 200


# --- kill -9


ROUNDS = 5


async def test_an_acknowledged_batch_survives_kill_9_and_a_retry_adds_nothing(
    any_server: ApiServer,
) -> None:
    """Batches are sent without pause; the server and its workers are killed amid them. What was
    acknowledged is there once, and so is what was not and is sent again: whole, never half."""
    server = any_server
    async with server.client() as api:
        axon_id = await create(api)
        await sql(api, axon_id, "CREATE TABLE t (batch TEXT, half INTEGER)")
    sent = 0
    for _ in range(ROUNDS):
        async with server.client() as api:
            open_ids = await _batches_until_killed(api, axon_id, server)
            sent += open_ids[0]
        server.start()
        async with server.client() as api:
            for request_id in open_ids[1]:
                answer = await _batch(api, axon_id, request_id)
                assert all(step.success for step in SqlBatchView(**answer.json()).results)
    async with server.client() as api:
        grouped = "SELECT count(*), sum(half), min(n) FROM (SELECT count(*) AS n, sum(half) AS half"
        found = await sql(api, axon_id, f"{grouped} FROM t GROUP BY batch HAVING n = 2)")
        total = await sql(api, axon_id, "SELECT count(*) FROM t")
    assert found.json()["rows"] == [[sent, 3 * sent, 2]]
    assert total.json()["rows"] == [[2 * sent]]


async def _batches_until_killed(
    api: httpx.AsyncClient, axon_id: str, server: ApiServer
) -> tuple[int, list[str]]:
    """How many batches were sent, and the ids of those that were never answered."""
    unanswered: set[str] = set()
    count = 0

    async def client() -> None:
        nonlocal count
        while True:
            request_id = uuid.uuid4().hex
            unanswered.add(request_id)
            count += 1
            answer = await _batch(api, axon_id, request_id)
            if answer.status_code == 200:
                unanswered.discard(request_id)

    async def killer() -> None:
        while count < 30:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        server.kill()

    tasks = [client() for _ in range(3)]
    await asyncio.gather(killer(), *tasks, return_exceptions=True)
    return count, sorted(unanswered)


async def _batch(api: httpx.AsyncClient, axon_id: str, request_id: str) -> httpx.Response:
    statements = [
        {"sql": "INSERT INTO t VALUES (?, ?)", "params": [request_id, half]} for half in (1, 2)
    ]
    return await api.post(
        f"/v1/axons/{axon_id}/sql/batch",
        json={"statements": statements},
        headers={"x-request-id": request_id},
    )
