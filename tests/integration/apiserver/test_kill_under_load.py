"""J1, J2 and J4: kill -9 in the middle of publishing loses nothing that was acknowledged.

Every publisher keeps what was acknowledged to it, and repeats what was not with the same request
id. `RANVIER_SOAK=1` does it many more times.
"""

import asyncio
import os
import random
import uuid
from dataclasses import dataclass, field

import httpx
from api_process import ApiServer, create, publish, read

ROUNDS = 100 if os.environ.get("RANVIER_SOAK") else 3
PUBLISHERS = 16
RETRY_SECONDS = 20


@dataclass
class Ledger:
    """What the server said yes to: sequence → payload, per axon."""

    acknowledged: dict[str, dict[int, str]] = field(default_factory=dict)
    count: int = 0
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    wanted: int = 0

    def note(self, axon_id: str, sequence: int, payload: str) -> None:
        known = self.acknowledged.setdefault(axon_id, {})
        assert known.setdefault(sequence, payload) == payload, "one sequence, two events"
        self.count += 1
        if self.count >= self.wanted:
            self.enough.set()


async def publish_until(
    server: ApiServer, axons: list[str], ledger: Ledger, stop: asyncio.Event
) -> None:
    async with server.client() as client:
        while not stop.is_set():
            axon_id = random.choice(axons)
            payload, once = uuid.uuid4().hex * random.choice([1, 30, 1000]), uuid.uuid4().hex
            answer = await insist(client, axon_id, payload, once)
            ledger.note(axon_id, answer.json()["sequence"], payload)


async def insist(
    client: httpx.AsyncClient, axon_id: str, payload: str, once: str
) -> httpx.Response:
    """As the published clients do: the same call again until it is answered."""
    async with asyncio.timeout(RETRY_SECONDS):
        while True:
            try:
                answer = await publish(client, axon_id, payload, headers={"x-request-id": once})
                if answer.status_code == 200:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.01)


async def test_nothing_acknowledged_is_lost_and_nothing_is_appended_twice(
    server: ApiServer,
) -> None:
    async with server.client() as client:
        axons = [await create(client) for _ in range(4)]
    ledger, stop = Ledger(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(PUBLISHERS):
            group.create_task(publish_until(server, axons, ledger, stop))
        for _ in range(ROUNDS):
            ledger.wanted = ledger.count + random.randint(50, 150)
            ledger.enough.clear()
            await ledger.enough.wait()
            server.kill()
            await asyncio.to_thread(server.start)
        stop.set()
    async with server.client() as client:
        for axon_id in axons:
            history = await client.get(f"/v1/axons/{axon_id}/events", params={"limit": 1})
            head = history.json()["total_count"]
            events = await read(client, axon_id, head)
            assert [event["sequence"] for event in events] == list(range(1, head + 1))
            stored = {event["sequence"]: event["payload"] for event in events}
            assert stored == ledger.acknowledged[axon_id]
