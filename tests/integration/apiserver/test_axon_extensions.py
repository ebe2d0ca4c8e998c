"""What our axon API adds to Runloop's: batches, expected sequences, filters, reads that wait."""

import asyncio
import time
from typing import Any

import httpx
from api_process import ApiServer, create, publish, read


def event(payload: str, event_type: str = "note", origin: str = "USER_EVENT") -> dict[str, str]:
    return {"event_type": event_type, "origin": origin, "payload": payload, "source": "test"}


async def publish_batch(
    api: httpx.AsyncClient, axon: str, *payloads: str, headers: dict[str, str] | None = None
) -> httpx.Response:
    batch = [event(payload) for payload in payloads]
    return await api.post(f"/v1/axons/{axon}/publish", json=batch, headers=headers)


async def events(api: httpx.AsyncClient, axon: str, **params: Any) -> Any:
    answer = await api.get(f"/v1/axons/{axon}/events", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_a_batch_is_appended_whole_and_in_order(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    await publish(api, axon, "before")
    answer = (await publish_batch(api, axon, "a", "b", "c")).json()
    assert [done["sequence"] for done in answer["events"]] == [2, 3, 4]
    seen = await read(api, axon, 4)
    assert [e["payload"] for e in seen] == ["before", "a", "b", "c"]
    assert [e["timestamp_ms"] for e in seen[1:]] == [d["timestamp_ms"] for d in answer["events"]]


async def test_a_batch_with_one_wrong_event_appends_nothing(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    for wrong in (event("x", origin="SYSTEM_EVENT"), {"payload": "x"}, event("x", event_type="")):
        body = [event("good"), wrong]
        answer = await api.post(f"/v1/axons/{axon}/publish", json=body)
        assert answer.status_code in (400, 422), answer.text
    assert (await events(api, axon))["total_count"] == 0


async def test_a_retried_batch_gets_the_first_answer(server: ApiServer) -> None:
    once = {"x-request-id": "a-batch"}
    async with server.client() as api:
        axon = await create(api)
        first = await publish_batch(api, axon, "a", "b", headers=once)
        assert (await publish_batch(api, axon, "a", "b", headers=once)).json() == first.json()
    server.kill()
    server.start()
    async with server.client() as api:
        assert (await publish_batch(api, axon, "a", "b", headers=once)).json() == first.json()
        assert (await events(api, axon))["total_count"] == 2


async def test_an_expected_sequence_lets_one_of_two_through(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    empty = {"if-match": '"0"'}
    assert (await publish(api, axon, headers=empty)).json()["sequence"] == 1
    refused = await publish(api, axon, headers=empty)
    assert (refused.status_code, refused.json()["code"], refused.json()["head"]) == (
        412,
        "head_moved",
        1,
    )
    assert (await publish_batch(api, axon, "x", headers=empty)).status_code == 412
    batch = await publish_batch(api, axon, "x", "y", headers={"if-match": '"1"'})
    assert batch.json()["events"][-1]["sequence"] == 3
    assert (await publish(api, axon, headers={"if-match": "*"})).status_code == 400


async def test_a_retry_of_a_conditional_publish_is_not_refused_by_its_own_event(
    api: httpx.AsyncClient,
) -> None:
    axon = await create(api)
    headers = {"if-match": '"0"', "x-request-id": "conditional"}
    answers = [(await publish(api, axon, headers=headers)).json() for _ in "12"]
    assert answers[0] == answers[1]
    assert (await events(api, axon))["total_count"] == 1


async def test_streams_and_history_keep_to_a_filter(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    kinds = [("USER_EVENT", "a"), ("AGENT_EVENT", "a"), ("AGENT_EVENT", "b"), ("USER_EVENT", "c")]
    body = [event("{}", event_type, origin) for origin, event_type in kinds]
    await api.post(f"/v1/axons/{axon}/publish", json=body)
    for params, expected in (
        ({"event_type": "a"}, [1, 2]),
        ({"event_type": "a,c"}, [1, 2, 4]),
        ({"event_type": "a,b", "origin": "AGENT_EVENT"}, [2, 3]),
        ({"event_type": "a", "origin": "USER_EVENT,AGENT_EVENT", "after_sequence": "1"}, [2]),
    ):
        assert [e["sequence"] for e in await read(api, axon, len(expected), **params)] == expected
        forward = {"after_sequence": "0", **params}
        assert [e["sequence"] for e in (await events(api, axon, **forward))["events"]] == expected
        backward = {k: v for k, v in params.items() if k != "after_sequence"}
        found = await events(api, axon, **backward)
        after = int(params.get("after_sequence", "0"))
        sequences = [e["sequence"] for e in found["events"]]
        assert [n for n in sequences if n > after] == expected[::-1]
        assert (found["total_count"], found["has_more"]) == (4, False)
    page = await events(api, axon, event_type="a", limit="1")
    assert (page["events"][0]["sequence"], page["has_more"]) == (2, True)
    page = await events(api, axon, event_type="a", limit="1", starting_after="2")
    assert (page["events"][0]["sequence"], page["has_more"]) == (1, False)


async def test_an_axon_is_walked_forward_page_by_page(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    await publish_batch(api, axon, *"abcde")
    cursor, seen = 0, ""
    while True:
        page = await events(api, axon, after_sequence=cursor, limit=2)
        seen += "".join(e["payload"] for e in page["events"])
        cursor = page["cursor"]
        if not page["has_more"]:
            break
    assert (seen, cursor, page["total_count"]) == ("abcde", 5, 5)


async def test_a_waiting_read_answers_with_the_first_event_that_matches(
    api: httpx.AsyncClient,
) -> None:
    axon = await create(api)
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        parked = group.create_task(
            events(api, axon, after_sequence=0, wait=20, event_type="wanted")
        )
        await publish(api, axon, event_type="other")
        await publish(api, axon, event_type="wanted")
    page = parked.result()
    assert [e["sequence"] for e in page["events"]] == [2]
    assert time.monotonic() - began < 10
    # Nothing more comes: the answer says where to go on.
    page = await events(api, axon, after_sequence=2, wait=0.05)
    assert (page["events"], page["has_more"], page["cursor"]) == ([], False, 2)


async def test_the_two_directions_do_not_mix(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    for params in ({"wait": "1"}, {"after_sequence": "1", "starting_after": "1"}, {"wait": "60"}):
        answer = await api.get(f"/v1/axons/{axon}/events", params=params)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
