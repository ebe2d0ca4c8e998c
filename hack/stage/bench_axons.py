"""Whether a journal stays fast when it is large: 50,000 axons beside 100, and an axon of 1,000,000
events beside one of 1,000.

Both journals are made and measured in one run, in this process and on this disk, so that what
counts are the ratios. The exit status says whether they are within their bounds.
"""

import argparse
import asyncio
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from ranvier.events import NewEvent, Origin
from ranvier_apiserver import following
from ranvier_apiserver.event_filter import EVERYTHING
from ranvier_apiserver.journal.engine import Engine
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.store import AxonQuery
from ranvier_apiserver.tail import Tails
from ranvier_dev.ports import free_port

from stage.shell import ROOT

sys.path.insert(0, str(ROOT / "tests" / "support"))

FEW_AXONS, FEW_EVENTS = 100, 1000
CALLERS = 64
FILLERS = 512
CALLS = 1600
ROUNDS = 7
STARTS = 2
EVENTS_AT_ONCE = 1000
PAYLOAD = "x" * 200
READY_SECONDS = 60

OPEN = "open the journal"
START = "start to first answer"
NEWEST = "newest 20 of the long axon"
RATIO_MAX = 1.5
NOISE_SECONDS = 0.000_1
BOUNDS = {
    OPEN: 2.0,
    START: 2.0,
    NEWEST: 0.010,
    "newest 20 axons": 0.010,
    "first use of an axon": 0.002,
}
"""In seconds, whatever the small journal's figure is: the list says how many there are in all, and
a small journal has every axon in memory."""


class Database(Protocol):
    def engine(self) -> Engine: ...
    def flags(self) -> list[str]: ...


def event() -> NewEvent:
    return NewEvent(Origin.USER, "bench", "t", PAYLOAD)


async def fill(store: EngineStore, axons: int, long: int) -> tuple[list[str], str]:
    """Axons with an event each, and one with many."""
    ids: list[str] = []

    async def some(count: int) -> None:
        for _ in range(count):
            axon_id = (await store.create_axon(None, {"team": str(len(ids) % 100)})).axon_id
            await store.publish(axon_id, event())
            ids.append(axon_id)

    shares = [len(range(n, axons, FILLERS)) for n in range(FILLERS)]
    await asyncio.gather(*map(some, shares))
    long_id = (await store.create_axon("long", {})).axon_id
    for start in range(0, long, EVENTS_AT_ONCE):
        await store.publish_many(long_id, [event()] * min(EVENTS_AT_ONCE, long - start))
    return ids, long_id


class Heard(Exception):
    """The first event of a stream is there."""


@dataclass(frozen=True)
class Journal:
    """One that is full and open."""

    store: EngineStore
    ids: list[str]
    long_id: str
    tails: Tails

    @classmethod
    async def filled(cls, database: Database, axons: int, long: int) -> "Journal":
        store = await EngineStore.open(database.engine, lambda: 1_000_000)
        ids, long_id = await fill(store, axons, long)
        await store.close()
        store = await EngineStore.open(database.engine, lambda: 2_000_000)
        journal = cls(store, ids, long_id, Tails())
        store.listen(journal.tails.committed)
        return journal

    async def use_all(self) -> None:
        """Axons in use are in memory; what the first use costs is measured by itself."""
        for start in range(0, len(self.ids), FILLERS):
            await asyncio.gather(*map(self.store.axon, self.ids[start : start + FILLERS]))

    async def create(self) -> None:
        await self.store.create_axon(None, {})

    async def touch(self) -> None:
        await self.store.axon(random.choice(self.ids))

    async def publish(self) -> None:
        await self.store.publish(random.choice(self.ids), event())

    async def subscribe(self) -> None:
        async def emit(chunk: bytes) -> None:
            raise Heard

        with suppress(Heard):
            axon_id = random.choice(self.ids)
            await following.stream(self.store, self.tails, axon_id, 0, EVERYTHING, emit)

    async def newest(self) -> None:
        page = await self.store.read_before(self.long_id, None, 20)
        assert len(page.events) == 20

    async def axons(self) -> None:
        await self.store.axons(AxonQuery(limit=20))

    async def upkeep(self) -> None:
        await self.store.tidy()


FIRST_USE = "first use of an axon"
WHAT: dict[str, tuple[Callable[[Journal], Awaitable[None]], int]] = {
    FIRST_USE: (Journal.touch, CALLERS),
    "create": (Journal.create, CALLERS),
    "publish to any axon": (Journal.publish, CALLERS),
    "subscribe to first event": (Journal.subscribe, CALLERS),
    "newest 20 axons": (Journal.axons, 1),
    NEWEST: (Journal.newest, 1),
    "upkeep, nothing to do": (Journal.upkeep, 1),
}
"""What is measured, and by how many callers at once."""


async def seconds_a_call(
    journal: Journal, call: Callable[[Journal], Awaitable[None]], callers: int
) -> float:
    async def caller() -> None:
        for _ in range(CALLS // callers):
            await call(journal)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    return (time.perf_counter() - began) / (CALLS // callers * callers)


async def measure(few: Journal, many: Journal) -> dict[str, tuple[float, float]]:
    """The best of several rounds, taken in turns, since other work on the machine only adds."""
    figures = {}
    for name, (call, callers) in WHAT.items():
        rounds = [
            (await seconds_a_call(few, call, callers), await seconds_a_call(many, call, callers))
            for _ in range(ROUNDS)
        ]
        small, large = zip(*rounds, strict=True)
        figures[name] = min(small), min(large)
        if name == FIRST_USE:
            await few.use_all()
            await many.use_all()
    return figures


def started(flags: list[str]) -> float:
    """Seconds from the start of a process to its first answer."""
    port = free_port()
    command = [sys.executable, "-m", "ranvier_apiserver", "--host", "127.0.0.1", *flags]
    began = time.perf_counter()
    nobody = tempfile.NamedTemporaryFile("w", suffix=".json")  # noqa: SIM115 - closed below
    with nobody:
        nobody.write("{}")
        nobody.flush()
        command += ["--identities", "static", "--static-identities-file", nobody.name]
        process = subprocess.Popen([*command, "--port", str(port)], stderr=subprocess.DEVNULL)
        try:
            while time.perf_counter() < began + READY_SECONDS and process.poll() is None:
                with suppress(OSError), socket.create_connection(("127.0.0.1", port)) as line:
                    line.sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                    if b" 200 " in line.recv(100):
                        return time.perf_counter() - began
                time.sleep(0.005)
        finally:
            process.terminate()
            process.wait()
    raise RuntimeError("the API server did not come up")


async def opened(database: Database) -> float:
    """Seconds to open a journal that was closed: the part of a start that its size can change."""
    began = time.perf_counter()
    store = await EngineStore.open(database.engine, lambda: 3_000_000)
    seconds = time.perf_counter() - began
    await store.close()
    return seconds


async def run(store: str, folder: Path, axons: int, events: int) -> bool:
    """Prints the table; returns whether everything is within its bound."""
    from journal_databases import new_database

    databases = [new_database(store, folder / name) for name in ("few", "many")]
    few = await Journal.filled(databases[0], FEW_AXONS, FEW_EVENTS)
    many = await Journal.filled(databases[1], axons, events)
    figures = await measure(few, many)
    for journal in (few, many):
        await journal.store.close()
    opens = [[await opened(database) for database in databases] for _ in range(STARTS)]
    small, large = (min(times) for times in zip(*opens, strict=True))
    figures[OPEN] = small, large
    starts = [[started(database.flags()) for database in databases] for _ in range(STARTS)]
    small, large = (min(times) for times in zip(*starts, strict=True))
    figures[START] = small, large
    print(f"{store}: ms a call with {FEW_AXONS} axons and {FEW_EVENTS:,} events in the long one,")
    print(f"then with {axons:,} and {events:,}")
    all_good = True
    for name, (small, large) in figures.items():
        is_good = large <= BOUNDS.get(name, RATIO_MAX * small + NOISE_SECONDS)
        all_good = all_good and is_good
        words = f"{name:<26}{small * 1e3:>10.3f}{large * 1e3:>10.3f}  x{large / small:.2f}"
        print(words, "" if is_good else "  TOO SLOW")
    return all_good


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/bench/axons", description=__doc__)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--axons", type=int, default=50_000)
    parser.add_argument("--events", type=int, default=1_000_000)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-axons-"))
    try:
        is_good = asyncio.run(run(given.store, folder, given.axons, given.events))
        return 0 if is_good else 1
    finally:
        shutil.rmtree(folder)
