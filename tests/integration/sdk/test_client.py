"""The client against a real server: every call, both shells, one behaviour."""

import asyncio

import pytest
from broker_box import API_KEY, Server
from ranvier import AsyncRanvier, Ranvier
from ranvier.client.errors import (
    BadRequest,
    Conflict,
    ConnectionFailed,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
)
from ranvier.events import PAYLOAD_BYTES_MAX, NewEvent, Origin

WAIT_SECONDS = 20.0


async def test_an_axon_from_its_creation_to_its_end(ranvier: AsyncRanvier) -> None:
    axon = await ranvier.axons.create("fixer", metadata={"team": "a"})
    assert axon == await ranvier.axons.retrieve(axon.id)
    changed = await ranvier.axons.update(axon.id, metadata={})
    assert (changed.name, changed.metadata) == ("fixer", {})
    first = await ranvier.axons.publish(axon.id, "user.message", {"content": "ä"})
    second = await ranvier.axons.publish(
        axon.id, "push", "not { json", origin=Origin.EXTERNAL, source="github"
    )
    assert (first.sequence, second.sequence) == (1, 2)
    page = await ranvier.axons.events(axon.id, limit=1)
    assert [event.payload for event in page.items] == ["not { json"]
    assert (page.has_more, page.total_count) == (True, 2)
    [event] = (await ranvier.axons.events(axon.id, before_sequence=2)).items
    assert (event.origin, event.source, event.payload) == (
        Origin.USER,
        "ranvier-sdk",
        '{"content": "ä"}',
    )
    assert [event.sequence async for event in ranvier.axons.history(axon.id)] == [1, 2]
    await ranvier.axons.delete(axon.id)
    assert (await ranvier.axons.retrieve(axon.id)).deleted_at_ms is not None
    with pytest.raises(NotFound, match="create a new axon"):
        await ranvier.axons.publish(axon.id, "t", "")


def test_the_blocking_client_does_the_same(blocking: Ranvier) -> None:
    axon = blocking.axons.create("blocking", metadata={"k": "v"})
    for number in range(3):
        assert blocking.axons.publish(axon.id, "t", str(number)).sequence == number + 1
    assert [event.payload for event in blocking.axons.history(axon.id, 1)] == ["1", "2"]
    assert list(blocking.axons.history(axon.id, 3)) == []
    with blocking.axons.subscribe(axon.id, 2) as events:
        assert next(events).payload == "2"
        assert events.last_sequence == 3
    found = blocking.axons.list(name="block", metadata={"k": "v"}, limit=5)
    assert [each.id for each in found.items] == [axon.id]
    assert (found.has_more, found.total_count) == (False, 1)


async def test_what_is_published_twice_with_one_request_id_stands_once(
    ranvier: AsyncRanvier,
) -> None:
    axon = await ranvier.axons.create()
    twice = [await ranvier.axons.publish(axon.id, "t", "x", request_id="once") for _ in range(2)]
    assert twice[0] == twice[1]
    assert (await ranvier.axons.events(axon.id)).total_count == 1


async def test_batches_stand_together_and_expected_sequences_refuse_the_late(
    ranvier: AsyncRanvier,
) -> None:
    axon = await ranvier.axons.create()
    batch = [NewEvent(Origin.USER, "app", "t", str(number)) for number in range(3)]
    done = await ranvier.axons.publish_many(axon.id, batch, expected_sequence=0)
    assert [each.sequence for each in done] == [1, 2, 3]
    await ranvier.axons.publish(axon.id, "t", "", expected_sequence=3)
    with pytest.raises(Conflict, match="Read the present state") as refused:
        await ranvier.axons.publish(axon.id, "t", "", expected_sequence=3)
    assert refused.value.status == 412
    assert (await ranvier.axons.events(axon.id)).total_count == 4


async def test_a_database_of_the_axons_own(ranvier: AsyncRanvier) -> None:
    axon = await ranvier.axons.create()
    sql = ranvier.axons.sql
    insert = ("INSERT INTO t VALUES (?, ?)", [1, "ä"])
    done = await sql.batch(axon.id, ["CREATE TABLE t (n INTEGER, s TEXT)", insert])
    assert [outcome.error for outcome in done.results] == [None, None]
    result = await sql.query(axon.id, "SELECT * FROM t")
    assert result.records() == [{"n": 1, "s": "ä"}]
    assert [column.type for column in result.columns] == ["INTEGER", "TEXT"]
    failed = await sql.batch(axon.id, [insert, "SELECT nonsense"])
    assert failed.results[1].error is not None
    with pytest.raises(BadRequest, match="nonsense"):
        await sql.query(axon.id, "SELECT nonsense")


async def test_a_subscriber_may_choose_origins_and_types(ranvier: AsyncRanvier) -> None:
    axon = await ranvier.axons.create()
    for origin, kind in ((Origin.USER, "a"), (Origin.AGENT, "a"), (Origin.AGENT, "b")):
        await ranvier.axons.publish(axon.id, kind, "", origin=origin)
    async with asyncio.timeout(WAIT_SECONDS):
        async with ranvier.axons.subscribe(axon.id, origins=[Origin.AGENT]) as agents:
            assert [(await anext(agents)).sequence for _ in range(2)] == [2, 3]
        async with ranvier.axons.subscribe(axon.id, event_types=["b"]) as bees:
            assert (await anext(bees)).sequence == 3


async def test_errors_are_sentences_with_a_next_step(server: Server, ranvier: AsyncRanvier) -> None:
    axon = await ranvier.axons.create()
    with pytest.raises(NotFound, match=r"There is no axon .*Check the id; `ranvier axon list`"):
        await ranvier.axons.retrieve("axn_none")
    with pytest.raises(NotFound):
        await anext(ranvier.axons.subscribe("axn_none"))
    with pytest.raises(BadRequest, match="SYSTEM_EVENT is received, never published"):
        await ranvier.axons.publish(axon.id, "t", "", origin=Origin.SYSTEM)
    with pytest.raises(PayloadTooLarge, match="publish a reference") as refused:
        await ranvier.axons.publish(axon.id, "t", "x" * (PAYLOAD_BYTES_MAX + 1))
    assert (refused.value.status, refused.value.code) == (413, "payload_too_large")
    async with AsyncRanvier(server.url, API_KEY + "x") as stranger:
        with pytest.raises(Unauthenticated, match="Set RANVIER_API_KEY"):
            await stranger.axons.list()


async def test_a_server_that_is_not_there_is_named() -> None:
    async with AsyncRanvier("http://127.0.0.1:9", API_KEY, retries=1) as client:
        with pytest.raises(ConnectionFailed, match=r"Nothing answers at http://127.0.0.1:9 .*ranv"):
            await client.axons.list()
        with pytest.raises(ConnectionFailed, match="ranvier serve"):
            await anext(client.axons.subscribe("axn_x"))
