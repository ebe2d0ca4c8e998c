"""Connections break at the worst moments: nothing is doubled, nothing is passed over."""

import asyncio

from broker_box import API_KEY, Server
from cutting_proxy import CuttingProxy
from ranvier import AsyncRanvier

EVENTS = 40
WAIT_SECONDS = 60.0


async def test_a_publish_whose_answer_was_lost_is_made_again_and_stands_once(
    server: Server, ranvier: AsyncRanvier
) -> None:
    axon = await ranvier.axons.create()

    def every_second_answer_is_lost(connection: int) -> int | None:
        return 0 if connection % 2 else None

    async with (
        CuttingProxy(server.port, every_second_answer_is_lost) as proxy,
        asyncio.timeout(WAIT_SECONDS),
    ):
        for number in range(EVENTS // 4):
            # A connection of its own each time, so each publish loses its first answer.
            async with AsyncRanvier(proxy.url, API_KEY) as client:
                done = await client.axons.publish(axon.id, "t", str(number))
                assert done.sequence == number + 1
        assert proxy.cuts == EVENTS // 4
    payloads = [event.payload async for event in ranvier.axons.history(axon.id)]
    assert payloads == [str(number) for number in range(EVENTS // 4)]


async def test_a_statement_whose_answer_was_lost_is_sent_again_and_run_once(
    server: Server, ranvier: AsyncRanvier
) -> None:
    axon = await ranvier.axons.create()
    sql = ranvier.axons.sql
    await sql.query(axon.id, "CREATE TABLE t (n INTEGER)")
    async with CuttingProxy(
        server.port, lambda connection: 0 if connection == 1 else None
    ) as proxy:
        async with AsyncRanvier(proxy.url, API_KEY) as client:
            done = await client.axons.sql.query(axon.id, "INSERT INTO t VALUES (?)", [7])
            assert done.meta.changes == 1
        assert (proxy.cuts, proxy.connections) == (1, 2)
    assert (await sql.query(axon.id, "SELECT n FROM t")).rows == [[7]]


async def test_a_stream_cut_again_and_again_gives_every_event_once(
    server: Server, ranvier: AsyncRanvier
) -> None:
    axon = await ranvier.axons.create()
    payload = "x" * 5000

    async def publish() -> None:
        for _ in range(EVENTS):
            await ranvier.axons.publish(axon.id, "t", payload)

    # Each connection ends in the middle of its third event.
    async with (
        CuttingProxy(server.port, lambda connection: 12_000) as proxy,
        AsyncRanvier(proxy.url, API_KEY) as client,
        asyncio.timeout(WAIT_SECONDS),
        asyncio.TaskGroup() as group,
    ):
        group.create_task(publish())
        seen = []
        async with client.axons.subscribe(axon.id) as events:
            async for event in events:
                seen.append(event.sequence)
                assert event.payload == payload
                if len(seen) == EVENTS:
                    break
        assert proxy.cuts >= EVENTS // 4
    assert seen == list(range(1, EVENTS + 1))


async def test_a_subscriber_outlives_the_server(own_server: Server) -> None:
    async with AsyncRanvier(own_server.url, API_KEY) as client, asyncio.timeout(WAIT_SECONDS):
        axon = await client.axons.create()
        async with client.axons.subscribe(axon.id) as events:
            for sequence in range(1, 4):
                await client.axons.publish(axon.id, "t", "")
                assert (await anext(events)).sequence == sequence
                own_server.kill()
                own_server.start()
