"""Axons and their readers against a model: J1, J4 and J5, with deletions, restarts and replicas.

Publishers, subscribers that leave and come back, deletions and restarts act in any order that
hypothesis thinks of. The model is a list of payloads an axon. It runs on each store, and with two
replicas on one PostgreSQL database, where every call goes to either.
"""

import asyncio
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from journal_databases import new_database
from ranvier.events import NewEvent, Origin
from ranvier.sse import SseParser
from ranvier_apiserver import following
from ranvier_apiserver.errors import AxonDeleted, HeadMoved
from ranvier_apiserver.event_filter import EVERYTHING
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.tail import Tails

SETTLE_SECONDS = 30
ANY = st.integers(0, 1_000_000)
"""Chooses among what there is, by its remainder."""


@dataclass
class ModelAxon:
    axon_id: str
    payloads: list[str] = field(default_factory=list)
    is_deleted: bool = False


@dataclass(eq=False)
class Reader:
    """One subscriber, over all its connections. `after`: where it began."""

    axon: ModelAxon
    after: int
    heard: list[tuple[int, str]] = field(default_factory=list)
    stream: asyncio.Task[None] | None = None
    at: "Replica | None" = None

    @property
    def cursor(self) -> int:
        return self.heard[-1][0] if self.heard else self.after

    def expected(self) -> list[tuple[int, str]]:
        return list(enumerate(self.axon.payloads, start=1))[self.after :]


@dataclass
class Sent:
    """A publish as its caller remembers it."""

    axon: ModelAxon
    events: list[NewEvent]
    once: bytes
    answer: Any


class Replica:
    """A store with its streams, as one API server has them."""

    def __init__(self, store: EngineStore) -> None:
        self.store, self.tails = store, Tails()
        store.listen(self.tails.committed)

    async def follow(self, reader: Reader) -> None:
        parser, turns = SseParser(), itertools.cycle([True, False])

        def hear(chunk: bytes) -> None:
            for event in parser.feed(chunk):
                data = json.loads(event.data)
                reader.heard.append((data["sequence"], data["payload"]))

        async def emit(chunk: bytes) -> None:
            hear(chunk)

        def write(chunk: bytes) -> bool:
            """Each second time the reader could not be written to at once."""
            if taken := next(turns):
                hear(chunk)
            return taken

        axon_id, after = reader.axon.axon_id, reader.cursor
        await following.stream(self.store, self.tails, axon_id, after, EVERYTHING, emit, write)


class StreamMachine(RuleBasedStateMachine):
    """Every rule picks a replica; what it did must hold at all of them."""

    engine = "sqlite"
    replica_count = 1

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="streams-"))
        self.database = new_database(self.engine, self.folder)
        self.runner = asyncio.Runner()
        self.replicas = [Replica(self.do(self.opened())) for _ in range(self.replica_count)]
        self.axons: list[ModelAxon] = []
        self.readers: list[Reader] = []
        self.sent: list[Sent] = []
        self.number = 0

    def opened(self) -> Coroutine[Any, Any, EngineStore]:
        return EngineStore.open(self.database.engine, lambda: 1_000_000)

    def do(self, call: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(call)

    def teardown(self) -> None:
        for replica in self.replicas:
            self.do(self.stopped(replica))
        self.runner.close()
        shutil.rmtree(self.folder)

    async def stopped(self, replica: Replica) -> None:
        """As a server stops: streams end in order, then the store."""
        replica.tails.close()
        for reader in self.readers:
            if reader.at is replica and reader.stream is not None:
                await reader.stream
                reader.stream = reader.at = None
        await replica.store.close()

    def replica(self, number: int) -> Replica:
        return self.replicas[number % len(self.replicas)]

    # --- publishers

    @initialize()
    def begin(self) -> None:
        self.create(0)
        # Begin where rules meet most: somebody follows at every replica.
        for number in range(self.replica_count):
            self.subscribe(number, 0, 0)

    @precondition(lambda self: sum(not axon.is_deleted for axon in self.axons) < 3)
    @rule(at=ANY)
    def create(self, at: int) -> None:
        axon = self.do(self.replica(at).store.create_axon(None, {}))
        self.axons.append(ModelAxon(axon.axon_id))

    @rule(at=ANY, which=ANY, count=st.integers(1, 3), guess=st.sampled_from([None, None, 0, 1]))
    def publish(self, at: int, which: int, count: int, guess: int | None) -> None:
        """`guess`: by how much the publisher errs about the axon's head; None: it does not say."""
        axon, store = self.axons[which % len(self.axons)], self.replica(at).store
        self.number += 1
        events = [
            NewEvent(Origin.USER, "test", "t", f"{self.number}.{part}") for part in range(count)
        ]
        once, head = str(self.number).encode(), len(axon.payloads)
        expected = None if guess is None else head + guess
        call = store.publish_many(axon.axon_id, events, once, expected)
        if axon.is_deleted:
            with pytest.raises(AxonDeleted):
                self.do(call)
        elif guess:
            with pytest.raises(HeadMoved):
                self.do(call)
        else:
            answer = self.do(call)
            axon.payloads += [event.payload for event in events]
            assert answer.sequence == len(axon.payloads)
            self.sent.append(Sent(axon, events, once, answer))

    @precondition(lambda self: self.sent)
    @rule(at=ANY, which=ANY)
    def publish_again(self, at: int, which: int) -> None:
        sent = self.sent[which % len(self.sent)]
        call = self.replica(at).store.publish_many(sent.axon.axon_id, sent.events, sent.once)
        assert self.do(call) == sent.answer

    @rule(at=ANY, which=ANY, sure=st.sampled_from([False, False, True]))
    def delete(self, at: int, which: int, sure: bool) -> None:
        """Again is as good as once."""
        axon = self.axons[which % len(self.axons)]
        if sure or axon.is_deleted:
            self.do(self.replica(at).store.delete_axon(axon.axon_id))
            axon.is_deleted = True

    # --- subscribers

    @precondition(lambda self: len(self.readers) < 6)
    @rule(at=ANY, which=ANY, after=ANY)
    def subscribe(self, at: int, which: int, after: int) -> None:
        axon = self.axons[which % len(self.axons)]
        reader = Reader(axon, after % (len(axon.payloads) + 1))
        self.readers.append(reader)
        self.do(self.connected(reader, self.replica(at)))

    @precondition(lambda self: any(reader.stream for reader in self.readers))
    @rule(which=ANY)
    def leave(self, which: int) -> None:
        """In the middle of whatever it is doing, as a broken connection does."""
        connected = [reader for reader in self.readers if reader.stream]
        reader = connected[which % len(connected)]

        async def cut() -> None:
            assert reader.stream is not None
            reader.stream.cancel()
            await asyncio.wait([reader.stream])
            reader.stream = reader.at = None

        self.do(cut())

    @precondition(lambda self: any(reader.stream is None for reader in self.readers))
    @rule(at=ANY, which=ANY)
    def come_back(self, at: int, which: int) -> None:
        away = [reader for reader in self.readers if reader.stream is None]
        self.do(self.connected(away[which % len(away)], self.replica(at)))

    async def connected(self, reader: Reader, replica: Replica) -> None:
        reader.stream, reader.at = asyncio.create_task(replica.follow(reader)), replica

    # --- servers

    @rule(which=ANY)
    def restart(self, which: int) -> None:
        number = which % len(self.replicas)
        self.do(self.stopped(self.replicas[number]))
        self.replicas[number] = Replica(self.do(self.opened()))

    # --- what always holds

    @invariant()
    def every_replica_tells_the_models_history(self) -> None:
        for axon in self.axons:
            for replica in self.replicas:
                call = replica.store.read_after(axon.axon_id, 0, 10_000)
                if axon.is_deleted:
                    with pytest.raises(AxonDeleted):
                        self.do(call)
                    continue
                found = [(event.sequence, event.payload) for event in self.do(call).events]
                assert found == list(enumerate(axon.payloads, start=1))

    @invariant()
    def every_reader_hears_all_and_nothing_else(self) -> None:
        self.do(self.settled())
        for reader in self.readers:
            expected = reader.expected()
            assert reader.heard == expected[: len(reader.heard)]
            if reader.stream and not reader.axon.is_deleted:
                assert reader.heard == expected

    async def settled(self) -> None:
        """Connected readers of a living axon are at its head; those of a deleted one are gone."""
        async with asyncio.timeout(SETTLE_SECONDS):
            for reader in self.readers:
                if reader.stream is None:
                    continue
                if reader.axon.is_deleted:
                    await reader.stream
                    reader.stream = reader.at = None
                    continue
                while len(reader.heard) < len(reader.expected()):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)


class PostgresStreams(StreamMachine):
    engine = "postgresql"


class ReplicatedStreams(StreamMachine):
    engine = "postgresql"
    replica_count = 2


FACTOR = 10 if os.environ.get("RANVIER_SOAK") else 1
for machine, examples in ((StreamMachine, 15), (PostgresStreams, 6), (ReplicatedStreams, 8)):
    machine.TestCase.settings = settings(
        max_examples=examples * FACTOR, stateful_step_count=30, deadline=None
    )
TestStreams = StreamMachine.TestCase
TestPostgresStreams = PostgresStreams.TestCase
TestReplicatedStreams = ReplicatedStreams.TestCase
