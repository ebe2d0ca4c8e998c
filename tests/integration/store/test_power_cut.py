"""J1, J2 and J4: the power fails at any moment, and what was acknowledged or seen is still there.

The store runs on a disk that forgets what was not synced (`power_cut`). Cut at a random operation,
it is opened again on what is left, where it goes on and is cut again. Each seed is a history of its
own; `RANVIER_SOAK=1` tries 200.
"""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ledger import Ledger
from power_cut import Disk, find_layer
from ranvier.events import NewEvent, Origin
from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.journal import checkpoint, pace
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.sqlite_engine import SqliteEngine
from ranvier_apiserver.journal.store import Committed, Published

SEEDS = 200 if os.environ.get("RANVIER_SOAK") else 20
CUTS = 4
"""A seed's cuts, each in what the one before left."""
PUBLISHERS = 6
PUBLISHES = 12
"""Of each publisher, between two cuts."""
RETRY_SECONDS = 30
AGAIN = 30
"""Earlier publishes that are sent again after a cut, whatever became of them."""

pytestmark = pytest.mark.skipif(find_layer() is not None, reason=str(find_layer()))


class Life:
    """One start of the store, and when on the disk's clock its words were given."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.disk = Disk(folder)
        self.chance = chance
        self.acknowledged: list[tuple[int, str, int, str]] = []
        self.seen: list[tuple[int, str, int, str]] = []
        self.first_moment = 0

    @asynccontextmanager
    async def store(self) -> AsyncIterator[EngineStore]:
        folder = self.disk.folder
        with self.disk.installed():
            store = await EngineStore.open(lambda: SqliteEngine(folder), lambda: 1_000_000)
            try:
                store.listen(self._saw)
                yield store
            finally:
                await store.close()

    async def _insist(self, store: EngineStore, axon_id: str, event: NewEvent) -> Published:
        """As the published clients do: a machine too busy for a lock in time is asked again."""
        async with asyncio.timeout(RETRY_SECONDS):
            while True:
                try:
                    return await store.publish(axon_id, event, event.payload[:16].encode())
                except JournalFailed:
                    await asyncio.sleep(0.01)

    def _saw(self, committed: Committed) -> None:
        for event in committed.events:
            self.seen.append((self.disk.now, event.axon_id, event.sequence, event.payload))

    async def publish(self, store: EngineStore, axons: list[str], ledger: Ledger) -> None:
        for _ in range(PUBLISHES):
            axon_id = self.chance.choice(axons)
            payload = self.chance.randbytes(8).hex() * self.chance.choice([1, 1, 40, 1500])
            ledger.send(axon_id, payload)
            await self.send(store, axon_id, payload)

    async def send(self, store: EngineStore, axon_id: str, payload: str) -> None:
        """Once or again: the request id is the payload's."""
        event = NewEvent(Origin.USER, "test", "t", payload)
        published = await self._insist(store, axon_id, event)
        self.acknowledged.append((self.disk.now, axon_id, published.sequence, payload))

    def cut(self, ledger: Ledger, target: Path) -> None:
        """At some moment after it had started; only what was said until then was said."""
        moment = self.chance.randint(self.first_moment, self.disk.now)
        for when, axon_id, sequence, payload in self.acknowledged:
            if when <= moment:
                ledger.acknowledge(axon_id, sequence, payload)
        for when, axon_id, sequence, payload in self.seen:
            if when <= moment:
                ledger.see(axon_id, sequence, payload)
        self.disk.cut(moment, target, self.chance)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_power_cut_takes_nothing_that_was_acknowledged_or_seen(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Checkpoints in the middle of everything; the log is begun anew often.
    monkeypatch.setattr(checkpoint, "EVERY_SECONDS", 0.002)
    monkeypatch.setattr(checkpoint, "LOG_PAGES_MAX", 5)
    monkeypatch.setattr(checkpoint, "LOG_BYTES_MAX", 100_000)
    monkeypatch.setattr(checkpoint, "ROUNDS_WITHOUT_FORCE", 5)
    # Every second time the event loop commits whenever it may.
    monkeypatch.setattr(pace, "REST_COMMITS", seed % 2 and pace.REST_COMMITS)
    monkeypatch.setattr(pace, "QUICK_SECONDS", RETRY_SECONDS)
    chance, ledger = random.Random(seed), Ledger()
    folder = tmp_path / "0"
    folder.mkdir()
    axons: list[str] = []
    for number in range(CUTS):
        life = Life(folder, chance)
        async with life.store() as store:
            if not axons:
                axons = [(await store.create_axon(None, {})).axon_id for _ in range(3)]
                life.first_moment = life.disk.now
            async with asyncio.TaskGroup() as group:
                for axon_id in axons:
                    ledger.check(axon_id, await everything(store, axon_id))
                    for payload in sorted(ledger.sent.get(axon_id, ()))[:AGAIN]:
                        group.create_task(life.send(store, axon_id, payload))
                for _ in range(PUBLISHERS):
                    group.create_task(life.publish(store, axons, ledger))
            for axon_id in axons:
                ledger.check(axon_id, await everything(store, axon_id))
        folder = tmp_path / str(number + 1)
        life.cut(ledger, folder)
    async with Life(folder, chance).store() as store:
        for axon_id in axons:
            ledger.check(axon_id, await everything(store, axon_id))


async def everything(store: EngineStore, axon_id: str) -> list[tuple[int, str]]:
    page = await store.read_after(axon_id, 0, 100_000)
    while not page.at_end:
        more = await store.read_after(axon_id, page.cursor, 100_000)
        page = type(page)([*page.events, *more.events], more.cursor, more.at_end, more.head)
    return [(event.sequence, event.payload) for event in page.events]
