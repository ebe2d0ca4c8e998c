"""Every axon call of Runloop's published Python SDK, unchanged, with the blocking and with the
asynchronous client; `runloop_journeys.py` runs them."""

import os
from typing import Any

from runloop_api_client import AsyncRunloopSDK, NotFoundError, RunloopSDK, UnprocessableEntityError
from runloop_journeys import main, refused


def event(payload: str, **changes: str) -> Any:
    return {
        "source": "py",
        "event_type": "note",
        "origin": "USER_EVENT",
        "payload": payload,
        **changes,
    }


def calls(sdk: RunloopSDK) -> None:
    axon = sdk.axon.create(name="calls", metadata={"team": "a"})
    info = sdk.axon.from_id(axon.id).get_info()
    assert (info.name, info.metadata, info.deleted_at_ms) == ("calls", {"team": "a"}, None)
    assert axon.id in [one.id for one in sdk.axon.list(name="cal")]
    assert sdk.api.axons.update(axon.id, metadata={}).metadata == {}
    payload = '{"text":"zwölf \\u0000 ✓"}'
    with axon.subscribe_sse() as stream:
        done = axon.publish(**event(payload))
        first = next(iter(stream))
    assert (done.sequence, first.sequence, first.payload) == (1, 1, payload)
    axon.publish(**event("2"))
    with axon.subscribe_sse(extra_query={"after_sequence": 1}) as stream:
        assert next(iter(stream)).payload == "2"
    page = sdk.api.axons.events.list(axon.id, limit=1, include_total_count=True)
    assert (page.total_count, page.has_more, page.events[0].sequence) == (2, True, 2)
    made = [sdk.axon.create(metadata={"pages": axon.id}).id for _ in range(5)]
    query = {"metadata[pages]": axon.id}
    pages = sdk.api.axons.list(limit=2, extra_query=query)
    assert [one.id for one in pages] == made[::-1]
    assert sdk.api.axons.delete(axon.id) is not None
    assert axon.get_info().deleted_at_ms
    refused(lambda: axon.publish(**event("")), NotFoundError)
    refused(lambda: sdk.axon.create().publish(**event("", event_type="")), UnprocessableEntityError)


async def async_calls(sdk: AsyncRunloopSDK) -> None:
    axon = await sdk.axon.create(name="calls", metadata={"team": "a"})
    info = await sdk.axon.from_id(axon.id).get_info()
    assert (info.name, info.metadata, info.deleted_at_ms) == ("calls", {"team": "a"}, None)
    assert axon.id in [one.id for one in await sdk.axon.list(name="cal")]
    assert (await sdk.api.axons.update(axon.id, metadata={})).metadata == {}
    async with await axon.subscribe_sse() as stream:
        for number in range(1, 11):
            await axon.publish(**event(str(number)))
            assert (await anext(stream)).sequence == number
    async with await axon.subscribe_sse(extra_query={"after_sequence": 9}) as stream:
        assert (await anext(stream)).payload == "10"
    page = await sdk.api.axons.events.list(axon.id, limit=3)
    assert ([one.sequence for one in page.events], page.has_more) == ([10, 9, 8], True)
    made = [(await sdk.axon.create(metadata={"pages": axon.id})).id for _ in range(5)]
    pages = sdk.api.axons.list(limit=2, extra_query={"metadata[pages]": axon.id})
    assert [one.id async for one in pages] == made[::-1]
    assert await sdk.api.axons.delete(axon.id) is not None


def sql(sdk: RunloopSDK) -> None:
    axon = sdk.axon.create()
    axon.sql.query(sql="CREATE TABLE tasks (id INTEGER PRIMARY KEY, name TEXT)")
    insert = {"sql": "INSERT INTO tasks (name) VALUES (?)", "params": ["a"]}
    assert len(axon.sql.batch(statements=[insert, {"sql": "SELECT 1"}]).results) == 2
    assert axon.sql.query(sql="SELECT * FROM tasks WHERE id = ?", params=[1]).rows == [[1, "a"]]


async def async_sql(sdk: AsyncRunloopSDK) -> None:
    axon = await sdk.axon.create()
    assert (await axon.sql.query(sql="SELECT ? + 1", params=[1])).rows == [[2]]


def cut(sdk: RunloopSDK) -> None:
    """Through a proxy that loses answers: every call is retried until it is answered."""
    axon = sdk.axon.create(name=os.environ["AXON_NAME"])
    for number in range(1, 4):
        assert axon.publish(**event(str(number))).sequence == number


async def async_cut(sdk: AsyncRunloopSDK) -> None:
    axon = await sdk.axon.create(name=os.environ["AXON_NAME"])
    for number in range(1, 4):
        assert (await axon.publish(**event(str(number)))).sequence == number


if __name__ == "__main__":
    main(globals())
