"""J1: concurrent clients see one order, whichever replica they call.

What they did and saw is written down with the moments of beginning and end, and checked as a whole
(`histories`). `RANVIER_SOAK=1` does it many more times.
"""

import asyncio
import itertools
import os
import random
from pathlib import Path

import pytest
from histories import Call, Publish, Read, faults
from journal_databases import new_database
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.journal.engine_store import EngineStore

ROUNDS = 50 if os.environ.get("RANVIER_SOAK") else 1
CLIENTS = 12
CALLS = 25


class Clients:
    """All on one axon; each call goes to any replica."""

    def __init__(self, replicas: list[EngineStore], axon_id: str, seed: int) -> None:
        self._replicas = replicas
        self._axon_id = axon_id
        self._chance = random.Random(seed)
        self._clock = itertools.count()
        self.calls: list[Call] = []

    async def run(self, name: int) -> None:
        for number in range(CALLS):
            store, began = self._chance.choice(self._replicas), next(self._clock)
            if self._chance.random() < 0.5:
                payload = f"{name}.{number}"
                event = NewEvent(Origin.USER, "test", "t", payload)
                answer = await store.publish(self._axon_id, event)
                self.calls.append(Publish(began, next(self._clock), answer.sequence, payload))
            else:
                known = max((call.head for call in self.calls), default=0)
                after = self._chance.randint(0, known)
                page = await store.read_after(self._axon_id, after, 10_000)
                payloads = tuple(event.payload for event in page.events)
                self.calls.append(Read(began, next(self._clock), after, payloads))


@pytest.mark.parametrize("seed", range(ROUNDS))
@pytest.mark.parametrize(
    ("engine", "count"), [("sqlite", 1), ("postgresql", 1), ("postgresql", 2), ("postgresql", 3)]
)
async def test_clients_anywhere_see_one_order(
    engine: str, count: int, seed: int, tmp_path: Path
) -> None:
    database = new_database(engine, tmp_path)
    stores = [await EngineStore.open(database.engine, lambda: 1_000_000) for _ in range(count)]
    axon_id = (await stores[0].create_axon(None, {})).axon_id
    clients = Clients(stores, axon_id, seed)
    async with asyncio.TaskGroup() as group:
        for name in range(CLIENTS):
            group.create_task(clients.run(name))
    final = [event.payload for event in (await stores[-1].read_after(axon_id, 0, 10_000)).events]
    for store in stores:
        await store.close()
    assert len(final) == sum(isinstance(call, Publish) for call in clients.calls)
    assert faults(clients.calls, final) == []
