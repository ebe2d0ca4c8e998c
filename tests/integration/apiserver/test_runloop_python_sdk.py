"""The published Python SDK, unchanged, against this server: seed 000's examples."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from api_process import KEY, ApiServer
from runloop_api_client import AsyncRunloopSDK, NotFoundError, RunloopSDK


@pytest.fixture
async def runloop(shared: ApiServer) -> AsyncIterator[AsyncRunloopSDK]:
    async with AsyncRunloopSDK(bearer_token=KEY, base_url=shared.url) as sdk:
        yield sdk


async def test_the_quick_example_of_the_documentation(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create(name="assistant-session")
    payload = json.dumps({"content": "Summarize the latest PR feedback."})
    result = await axon.publish(
        source="dashboard", event_type="user.message", origin="USER_EVENT", payload=payload
    )
    assert result.sequence == 1
    async with await axon.subscribe_sse() as stream:
        async for event in stream:
            assert (event.sequence, event.event_type, event.payload) == (
                1,
                "user.message",
                payload,
            )
            assert (event.axon_id, event.origin, event.source) == (
                axon.id,
                "USER_EVENT",
                "dashboard",
            )
            assert event.timestamp_ms == result.timestamp_ms
            break


async def test_subscribing_first_and_webhooks_fanning_in(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    async with await axon.subscribe_sse() as stream, asyncio.TaskGroup() as group:
        for source in ("github", "slack"):
            group.create_task(
                axon.publish(
                    source=source, event_type="push", origin="EXTERNAL_EVENT", payload="{}"
                )
            )
        seen = [(await anext(stream)) for _ in range(2)]
    assert [event.sequence for event in seen] == [1, 2]
    assert {event.source for event in seen} == {"github", "slack"}


async def test_a_stream_is_resumed_by_an_extra_query(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    for _ in range(3):
        await axon.publish(source="s", event_type="t", origin="AGENT_EVENT", payload="")
    query = {"after_sequence": 2}
    async with await axon.subscribe_sse(extra_query=query) as stream:
        assert (await anext(stream)).sequence == 3


async def test_axons_are_found_again(runloop: AsyncRunloopSDK) -> None:
    made = await runloop.axon.create(name="found-again", metadata={"k": "v"})
    info = await runloop.axon.from_id(made.id).get_info()
    assert (info.name, info.metadata, info.deleted_at_ms) == ("found-again", {"k": "v"}, None)
    listed = await runloop.axon.list(name="found-ag")
    assert [axon.id for axon in listed] == [made.id]
    changed = await runloop.api.axons.update(made.id, metadata={})
    assert changed.metadata == {}
    with pytest.raises(NotFoundError, match="There is no axon"):
        await runloop.axon.from_id("axn_none").get_info()


async def test_lists_page_through_the_low_level_client(runloop: AsyncRunloopSDK) -> None:
    made = [(await runloop.axon.create(name="paged")).id for _ in range(5)]
    pages = runloop.api.axons.list(name="paged", limit=2)
    assert [axon.id async for axon in pages] == made[::-1]


async def test_history_and_deletion(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    for _ in range(3):
        await axon.publish(source="s", event_type="t", origin="USER_EVENT", payload="")
    page = await runloop.api.axons.events.list(axon.id, limit=2)
    assert [event.sequence for event in page.events] == [3, 2]
    assert (page.has_more, page.total_count) == (True, 3)
    assert await runloop.api.axons.delete(axon.id) is not None
    assert (await axon.get_info()).deleted_at_ms
    with pytest.raises(NotFoundError, match="was deleted"):
        await axon.publish(source="s", event_type="t", origin="USER_EVENT", payload="")


async def test_a_retry_of_a_call_appends_once(runloop: AsyncRunloopSDK) -> None:
    axon = await runloop.axon.create()
    results = [
        await axon.publish(
            source="s", event_type="t", origin="USER_EVENT", payload="", idempotency_key="one"
        )
        for _ in range(2)
    ]
    assert results[0] == results[1]


def test_the_synchronous_client(shared: ApiServer) -> None:
    with RunloopSDK(bearer_token=KEY, base_url=shared.url) as sdk:
        axon = sdk.axon.create(name="sync")
        axon.publish(source="s", event_type="t", origin="USER_EVENT", payload="x")
        with axon.subscribe_sse() as stream:
            assert next(iter(stream)).payload == "x"
