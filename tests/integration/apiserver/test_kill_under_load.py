"""J1, J2, J4 and J5: kill -9 in the middle of publishing loses nothing, on each store.

Publishers repeat what was not acknowledged with the same request id, subscribers come back at their
sequence, and a ledger holds all that was acknowledged or visible against what is there in the end.
With two replicas on PostgreSQL everybody calls either, for the same publish too. In every second
round commits are held up before they are written: what was answered or shown ahead of its commit is
then surely lost. `RANVIER_SOAK=1` does 500 rounds.
"""

import asyncio
import json
import os
import random
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from api_process import ApiServer, PreloadedApiServer, create, publish, read
from journal_databases import new_database
from ledger import Ledger
from preloaded import Loaded
from ranvier.sse import SseParser

ROUNDS = 500 if os.environ.get("RANVIER_SOAK") else 6
AXONS = 3
PUBLISHERS = 16
RETRY_SECONDS = 30
COMMIT_DELAY = 0.05
"""Seconds; the kill follows the answer that calls for it sooner, also on a busy machine."""

SIZES, WEIGHTS = [1, 30, 1000], [60, 30, 2]


@pytest.fixture(params=["sqlite", "postgresql", "postgresql, two replicas"])
def replicas(
    request: pytest.FixtureRequest, tmp_path: Path, loaded: Loaded
) -> Iterator[list[PreloadedApiServer]]:
    """API servers on one journal, running."""
    engine, *more = request.param.split(",")
    flags = new_database(engine, tmp_path / "journal").flags()
    subjects: list[PreloadedApiServer] = []
    try:
        for number in range(1 + len(more)):
            folder = tmp_path / str(number)
            folder.mkdir()
            subjects.append(PreloadedApiServer(folder, loaded))
            subjects[-1].flags = tuple(flags)
            subjects[-1].commit_delay = COMMIT_DELAY
            subjects[-1].start()
        yield subjects
    finally:
        for subject in subjects:
            subject.close()


class Load:
    """Publishers and subscribers, until `stop`."""

    def __init__(self, replicas: list[PreloadedApiServer], axons: list[str]) -> None:
        self.ledger = Ledger()
        self.axons = axons
        self.stop = asyncio.Event()
        self._killed = asyncio.Event()
        self._victim: ApiServer | None = None
        self._wanted = 0
        self._clients = [replica.client() for replica in replicas]

    async def publish(self) -> None:
        while not self.stop.is_set():
            axon_id, once = random.choice(self.axons), uuid.uuid4().hex
            payload = uuid.uuid4().hex * random.choices(SIZES, WEIGHTS)[0]
            self.ledger.send(axon_id, payload)
            sequence = await self._insist(axon_id, payload, once)
            self.ledger.acknowledge(axon_id, sequence, payload)
            if self._victim is not None and self.ledger.count >= self._wanted:
                # At once, so that what was acknowledged too early is not yet on disk.
                self._victim.kill()
                self._victim = None
                self._killed.set()

    async def _insist(self, axon_id: str, payload: str, once: str) -> int:
        """As the published clients do: the same call again until it is answered."""
        async with asyncio.timeout(RETRY_SECONDS):
            while True:
                client, headers = random.choice(self._clients), {"x-request-id": once}
                try:
                    answer = await publish(client, axon_id, payload, headers=headers)
                    if answer.status_code == 200:
                        sequence: int = answer.json()["sequence"]
                        return sequence
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.01)

    async def subscribe(self, axon_id: str) -> None:
        """Follow the axon for ever, each event once and in order."""
        cursor = 0
        while True:
            try:
                async for sequence, payload in self._stream(axon_id, cursor):
                    assert sequence == cursor + 1, "a seam in the stream"
                    self.ledger.see(axon_id, sequence, payload)
                    cursor = sequence
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)

    async def _stream(self, axon_id: str, after: int) -> AsyncIterator[tuple[int, str]]:
        url, parser = f"/v1/axons/{axon_id}/subscribe/sse", SseParser()
        params = {"after_sequence": after}
        async with random.choice(self._clients).stream("GET", url, params=params) as answer:
            async for chunk in answer.aiter_bytes():
                for event in parser.feed(chunk):
                    if event.event == "error":
                        return
                    data = json.loads(event.data)
                    yield data["sequence"], data["payload"]

    async def kill(self, victim: ApiServer, after: int) -> None:
        """In the very moment that so many more are acknowledged."""
        self._victim, self._wanted = victim, self.ledger.count + after
        self._killed.clear()
        async with asyncio.timeout(RETRY_SECONDS):
            await self._killed.wait()

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()


async def test_nothing_acknowledged_or_seen_is_lost_and_nothing_is_appended_twice(
    replicas: list[PreloadedApiServer],
) -> None:
    async with replicas[0].client() as client:
        axons = [await create(client) for _ in range(AXONS)]
    load = Load(replicas, axons)
    async with asyncio.TaskGroup() as group:
        subscribing = [group.create_task(load.subscribe(axon_id)) for axon_id in axons]
        for _ in range(PUBLISHERS):
            group.create_task(load.publish())
        for number in range(ROUNDS):
            victim = random.choice(replicas)
            victim.commit_delay = COMMIT_DELAY * (number % 2)
            await load.kill(victim, after=random.randint(30, 120))
            await asyncio.to_thread(victim.start)
        load.stop.set()
        for task in subscribing:
            task.cancel()
    await load.close()
    for replica in replicas:
        async with replica.client() as client:
            for axon_id in axons:
                load.ledger.check_settled(axon_id, await stored(client, axon_id))


async def stored(client: httpx.AsyncClient, axon_id: str) -> list[tuple[int, str]]:
    history = await client.get(f"/v1/axons/{axon_id}/events", params={"limit": 1})
    events = await read(client, axon_id, history.json()["total_count"])
    return [(event["sequence"], event["payload"]) for event in events]
