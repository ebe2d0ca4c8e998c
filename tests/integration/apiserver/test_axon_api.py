"""Runloop's axon API over real HTTP (runloop-api, sections 1 to 3; J1, J3, J4, J8)."""

import json

import httpx
import pytest
from api_process import READER, ApiServer, Box, create, publish, read

MIB = 1024 * 1024


async def test_an_axon_is_created_read_listed_changed_and_deleted(server: ApiServer) -> None:
    async with server.client() as api:
        await create_to_delete(api)


async def create_to_delete(api: httpx.AsyncClient) -> None:
    first = await create(api, name="fixer", metadata={"team": "a"})
    empty = {"content-type": "application/json"}
    second = (await api.post("/v1/axons", headers=empty)).json()["id"]
    view = (await api.get(f"/v1/axons/{first}")).json()
    assert view["created_at_ms"] > 0
    assert (view["name"], view["metadata"], view["deleted_at_ms"]) == (
        "fixer",
        {"team": "a"},
        None,
    )
    listed = (await api.get("/v1/axons")).json()
    assert [axon["id"] for axon in listed["axons"]] == [second, first]
    assert (listed["has_more"], listed["total_count"]) == (False, 2)
    changed = await api.post(f"/v1/axons/{first}", json={"metadata": {}})
    assert changed.json()["metadata"] == {}
    assert (await api.post(f"/v1/axons/{first}", json={})).json() == changed.json()
    assert (await api.delete(f"/v1/axons/{first}")).json() == {}
    assert (await api.delete(f"/v1/axons/{first}")).json() == {}
    assert (await api.get(f"/v1/axons/{first}")).json()["deleted_at_ms"] > 0
    assert len((await api.get("/v1/axons")).json()["axons"]) == 2


async def test_a_deleted_axon_takes_nothing_and_shows_nothing(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    await publish(api, axon)
    await api.delete(f"/v1/axons/{axon}")
    for answer in (
        await publish(api, axon),
        await api.get(f"/v1/axons/{axon}/events"),
        await api.get(f"/v1/axons/{axon}/subscribe/sse"),
        await api.post(f"/v1/axons/{axon}", json={"metadata": {}}),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "axon_deleted")


# Ids are hexadecimal and are searched too: the names have letters that no id can have.
FILTERS: list[tuple[dict[str, str], list[str]]] = [
    ({}, ["vtu", "tuv", "tu"]),
    ({"name": "tu"}, ["tuv", "tu"]),
    ({"search": "TU"}, ["vtu", "tuv", "tu"]),
    ({"search": "uv"}, ["tuv"]),
    ({"metadata[k]": "1"}, ["tu"]),
    ({"metadata[k][in]": "1,2"}, ["tuv", "tu"]),
    ({"metadata[k]": "9"}, []),
    ({"limit": "2"}, ["vtu", "tuv"]),
    ({"id": "axn_none"}, []),
]


async def test_lists_are_filtered_and_newest_first(server: ApiServer) -> None:
    async with server.client() as api:
        await create(api, name="tu", metadata={"k": "1"})
        await create(api, name="tuv", metadata={"k": "2", "other": "1"})
        await create(api, name="vtu")
        for params, names in FILTERS:
            page = (await api.get("/v1/axons", params=params)).json()
            assert [axon["name"] for axon in page["axons"]] == names, params
            assert page["has_more"] is ("limit" in params)
            assert page["total_count"] == (3 if "limit" in params else len(names))


async def test_a_list_is_walked_page_by_page(api: httpx.AsyncClient) -> None:
    made = [await create(api, metadata={"walk": "page by page"}) for _ in range(5)]
    seen: list[str] = []
    params = {"limit": "2", "include_total_count": "false", "metadata[walk]": "page by page"}
    while True:
        page = (await api.get("/v1/axons", params=params)).json()
        assert "total_count" not in page
        seen += [axon["id"] for axon in page["axons"]]
        if not page["has_more"]:
            break
        params["starting_after"] = seen[-1]
    assert seen == made[::-1]


async def test_events_are_numbered_from_one_and_payloads_come_back_byte_for_byte(
    api: httpx.AsyncClient,
) -> None:
    axon = await create(api)
    payloads = ["{}", "", 'not json "\\', "\u0000 \u2028 \U0001f9e0 zwölf\r\n", "x" * 100_000]
    for number, payload in enumerate(payloads, start=1):
        published = (await publish(api, axon, payload)).json()
        assert published["sequence"] == number
    events = await read(api, axon, len(payloads))
    assert [event["payload"] for event in events] == payloads
    assert [event["sequence"] for event in events] == [1, 2, 3, 4, 5]
    times = [event["timestamp_ms"] for event in events]
    assert times == sorted(times)
    assert events[0] == {
        "axon_id": axon,
        "sequence": 1,
        "timestamp_ms": times[0],
        "origin": "USER_EVENT",
        "source": "test",
        "event_type": "user.message",
        "payload": "{}",
    }


async def test_history_is_newest_first_and_its_total_is_the_head(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    assert (await api.get(f"/v1/axons/{axon}/events")).json() == {
        "events": [],
        "has_more": False,
        "total_count": 0,
    }
    for _ in range(5):
        await publish(api, axon)
    head = (await api.get(f"/v1/axons/{axon}/events", params={"limit": 1})).json()
    assert [event["sequence"] for event in head["events"]] == [5]
    assert (head["has_more"], head["total_count"]) == (True, 5)
    older = {"starting_after": 4, "include_total_count": "false"}
    page = (await api.get(f"/v1/axons/{axon}/events", params=older)).json()
    assert [event["sequence"] for event in page["events"]] == [3, 2, 1]
    assert page["has_more"] is False
    assert "total_count" not in page


async def test_a_retry_gets_the_first_answer_and_appends_nothing(server: ApiServer) -> None:
    once = {"x-request-id": "stainless-python-retry-1"}
    body = {"name": "n"}
    async with server.client() as api:
        made = [(await api.post("/v1/axons", json=body, headers=once)).json() for _ in "12"]
        assert made[0] == made[1]
        axon = made[0]["id"]
        first = await publish(api, axon, "first", headers=once)
        await publish(api, axon, "other", headers={"x-request-id": "2"})
    server.kill()
    server.start()
    async with server.client() as again:
        assert (await publish(again, axon, "first", headers=once)).json() == first.json()
        assert [e["payload"] for e in await read(again, axon, 2)] == ["first", "other"]
        assert len((await again.get("/v1/axons")).json()["axons"]) == 1
        other = await create(again)
        # The same id on another route is another request.
        assert (await publish(again, other, headers=once)).json()["sequence"] == 1


async def test_a_stream_goes_on_after_any_sequence_and_keeps_to_its_origins(
    api: httpx.AsyncClient,
) -> None:
    axon = await create(api)
    origins = ["USER_EVENT", "AGENT_EVENT", "EXTERNAL_EVENT", "AGENT_EVENT", "USER_EVENT"]
    for origin in origins:
        await publish(api, axon, origin=origin)
    assert [e["sequence"] for e in await read(api, axon, 2, after_sequence=3)] == [4, 5]
    wanted = "USER_EVENT,EXTERNAL_EVENT"
    events = await read(api, axon, 3, origin=wanted)
    assert [event["sequence"] for event in events] == [1, 3, 5]
    assert [e["sequence"] for e in await read(api, axon, 1, after_sequence=3, origin=wanted)] == [5]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/axons/axn_none", None, 404, "axon_not_found"),
        ("GET", "/v1/axons/axn_none/subscribe/sse", None, 404, "axon_not_found"),
        ("POST", "/v1/axons/axn_none/publish", "event", 404, "axon_not_found"),
        ("POST", "/v1/axons/axn_none/sql/query", {"sql": "SELECT 1"}, 404, "axon_not_found"),
        ("POST", "/v1/axons/AXON/sql/query", {}, 422, "invalid_field"),
        ("GET", "/v1/nothing", None, 404, "not_found"),
        ("PUT", "/v1/axons", None, 405, "method_not_allowed"),
        ("GET", "/v1/axons?limit=0", None, 422, "invalid_field"),
        ("GET", "/v1/axons?starting_after=axn_none", None, 404, "axon_not_found"),
        ("POST", "/v1/axons", {"name": 7}, 422, "invalid_field"),
        ("POST", "/v1/axons", {"metadata": {"a": 1}}, 422, "invalid_field"),
        ("POST", "/v1/axons/AXON/publish", {"origin": "SYSTEM_EVENT"}, 400, "bad_request"),
        ("POST", "/v1/axons/AXON/publish", {"origin": "OTHER"}, 422, "invalid_field"),
        ("GET", "/v1/axons/AXON/subscribe/sse?after_sequence=x", None, 422, "invalid_field"),
        ("GET", "/v1/axons/AXON/subscribe/sse?origin=x", None, 422, "invalid_field"),
    ],
)
async def test_mistakes_are_told_in_json(
    api: httpx.AsyncClient, method: str, path: str, body: object, status: int, code: str
) -> None:
    event = {"event_type": "t", "origin": "USER_EVENT", "payload": "", "source": "s"}
    if path.endswith("/publish"):
        body = {**event, **(body if isinstance(body, dict) else {})}
    answer = await api.request(method, path.replace("AXON", await create(api)), json=body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.json()["message"].endswith(".")


async def test_a_payload_holds_4_mib_and_no_more(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    # Every character takes six bytes in this JSON, and one in the payload.
    escaped = json.dumps({"payload": "\x01" * (4 * MIB)})[1:-1]
    rest = '"event_type":"t","origin":"USER_EVENT","source":"s"'
    answer = await api.post(f"/v1/axons/{axon}/publish", content=f"{{{escaped},{rest}}}")
    assert answer.status_code == 200
    assert (await publish(api, axon, "x" * (4 * MIB + 1))).status_code == 413
    endless = await api.post(f"/v1/axons/{axon}/publish", content=b"x" * (25 * MIB))
    assert (endless.status_code, endless.json()["code"]) == (413, "payload_too_large")
    assert (await publish(api, axon)).json()["sequence"] == 2


async def test_every_caller_keeps_to_its_routes(
    shared: ApiServer, api: httpx.AsyncClient, box: Box
) -> None:
    axon = await create(api)
    async with httpx.AsyncClient(base_url=shared.url) as nobody:
        answer = await nobody.get("/v1/axons")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert (await nobody.get("/healthz")).json() == {"journal": True}
        assert (await nobody.get("/readyz")).json() == {"journal": True, "waker": True}
    async with shared.client(READER) as reader:
        assert (await reader.get(f"/v1/axons/{axon}")).status_code == 200
        assert (await publish(reader, axon)).status_code == 403
        assert (await reader.post("/v1/axons")).status_code == 403
    for internal in (box.operator, box.broker):
        assert (await publish(internal, axon)).status_code == 403
        assert (await internal.get(f"/v1/axons/{axon}/subscribe/sse")).status_code == 403
    assert (await api.get("/internal/v1/devboxes")).status_code == 403
