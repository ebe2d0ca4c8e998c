"""Several replicas on one PostgreSQL database: one history, seen alike by all (J1, J2, J4, J5)."""

import asyncio
import json
import os
import random
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager

import psycopg
import pytest
from journal_databases import PostgresDatabase
from postgres_server import PostgresServer
from ranvier.events import NewEvent, Origin
from ranvier.internal import (
    AttachRequest,
    AxonBinding,
    DevboxBinding,
    MountBinding,
    SleepRequest,
)
from ranvier.sse import SseParser
from ranvier_apiserver import following
from ranvier_apiserver.errors import JournalFailed
from ranvier_apiserver.event_filter import EVERYTHING
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.postgresql import catch_up, follower
from ranvier_apiserver.journal.postgresql.engine import BEGIN_WRITE
from ranvier_apiserver.journal.postgresql.session import PostgresSession
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.tail import Tails

DEADLINE = 30.0
SELECT_FILES_MAX = 1024


class Replica:
    """A store with its streams, as one API server has them."""

    def __init__(self, store: EngineStore) -> None:
        self.store = store
        self.tails = Tails()
        self.commits: list[Committed] = []
        store.listen(self.commits.append)
        store.listen(self.tails.committed)

    async def subscribe(self, axon_id: str, count: int, after: int = 0) -> list[tuple[int, str]]:
        """Sequences and payloads of a stream, until it has so many events or ends."""
        heard: list[tuple[int, str]] = []
        parser = SseParser()

        class Enough(Exception):
            pass

        async def emit(chunk: bytes) -> None:
            for event in parser.feed(chunk):
                data = json.loads(event.data)
                heard.append((data["sequence"], data["payload"]))
            if len(heard) >= count:
                raise Enough

        try:
            async with asyncio.timeout(DEADLINE):
                await following.stream(self.store, self.tails, axon_id, after, EVERYTHING, emit)
        except Enough:
            pass
        return heard


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not fact():  # noqa: ASYNC110 - facts of other threads and servers have no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def replicas(database: PostgresDatabase, count: int = 2) -> AsyncIterator[list[Replica]]:
    stores = [await EngineStore.open(database.engine, lambda: 1_000_000) for _ in range(count)]
    try:
        yield [Replica(store) for store in stores]
    finally:
        for store in stores:
            await store.close()


def event(payload: str = "{}", origin: Origin = Origin.USER) -> NewEvent:
    return NewEvent(origin, "test", "t", payload)


async def insist(store: EngineStore, axon_id: str, payload: str) -> int:
    """As the published clients do: the same call again until it is answered."""
    async with asyncio.timeout(DEADLINE):
        while True:
            try:
                return (await store.publish(axon_id, event(payload), payload.encode())).sequence
            except JournalFailed:
                await asyncio.sleep(0.01)


async def test_publishers_and_subscribers_anywhere_see_one_history(
    postgres: PostgresDatabase,
) -> None:
    """Every subscriber hears 1, 2, 3 … of what was acknowledged, wherever it was published."""
    publishers, each = 8, 40
    async with replicas(postgres) as (one, two):
        axons = [(await one.store.create_axon(None, {})).axon_id for _ in range(3)]
        acknowledged: dict[str, dict[int, str]] = {axon_id: {} for axon_id in axons}

        async def publish(replica: Replica, name: str) -> None:
            for number in range(each):
                axon_id, payload = random.choice(axons), f"{name}-{number}"
                published = await replica.store.publish(axon_id, event(payload))
                assert published.sequence not in acknowledged[axon_id]
                acknowledged[axon_id][published.sequence] = payload

        async with asyncio.TaskGroup() as group:
            for number in range(publishers):
                group.create_task(publish((one, two)[number % 2], str(number)))
            early = {
                (axon_id, replica): group.create_task(replica.subscribe(axon_id, 10**9))
                for axon_id in axons
                for replica in (one, two)
            }
            settled = group.create_task(settle(early, acknowledged, publishers * each))
        assert settled.result() == publishers * each
        for axon_id in axons:
            known = acknowledged[axon_id]
            assert sorted(known) == list(range(1, len(known) + 1))
            for replica in (one, two):
                late = await stored(replica, axon_id)
                assert late == sorted(known.items())
                assert early[axon_id, replica].result() == late
                order = [
                    e.sequence for c in replica.commits for e in c.events if e.axon_id == axon_id
                ]
                assert order == sorted(order)


async def stored(replica: Replica, axon_id: str) -> list[tuple[int, str]]:
    page = await replica.store.read_after(axon_id, 0, 10_000)
    return [(event.sequence, event.payload) for event in page.events]


async def settle(
    streams: dict[tuple[str, Replica], asyncio.Task[list[tuple[int, str]]]],
    acknowledged: dict[str, dict[int, str]],
    total: int,
) -> int:
    """Wait for all publishes and their delivery, then let the streams end."""
    await until(lambda: sum(map(len, acknowledged.values())) >= total)

    def all_heard() -> bool:
        return all(
            place.cursor == len(acknowledged[axon_id])
            for axon_id, replica in streams
            for place in replica.tails._tails[axon_id].places
        )

    await until(all_heard)
    for _, replica in streams:
        replica.tails.close()
    return sum(map(len, acknowledged.values()))


async def test_a_retry_at_another_replica_gets_the_first_answer(
    postgres: PostgresDatabase,
) -> None:
    async with replicas(postgres) as (one, two):
        axon = await one.store.create_axon("a", {}, b"create")
        assert (await two.store.create_axon("a", {}, b"create")).axon_id == axon.axon_id
        first = await one.store.publish(axon.axon_id, event(), b"publish")
        assert await two.store.publish(axon.axon_id, event(), b"publish") == first
        assert (await two.store.publish(axon.axon_id, event(), b"other")).sequence == 2


async def test_what_one_replica_declares_and_decides_holds_at_the_other(
    postgres: PostgresDatabase,
) -> None:
    """Turns and sleep go on at any replica: state is the database's, not a process's."""
    async with replicas(postgres) as (one, two):
        claim = await one.store.bind_axon("res", AxonBinding(namespace="ns", name="a", metadata={}))
        axon_id = claim.axon_id
        assert await two.store.axon_bindings() == [claim]
        mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
        await two.store.bind_devbox("uid", DevboxBinding(namespace="ns", name="b", mounts=mounts))
        assert await one.store.mounted_axons("uid") == {axon_id}
        assert (await one.store.attach("uid", 0, AttachRequest(generation=1))).epoch == 1
        assert (await two.store.attach("uid", 0, AttachRequest(generation=1))).epoch == 2
        asleep = await one.store.sleep("uid", SleepRequest(generation=1, idle_seconds=0))
        assert (asleep.granted, asleep.generation) == (True, 2)
        two.commits.clear()
        await two.store.publish(axon_id, event())
        (wake,) = [wake for commit in two.commits for wake in commit.wakes]
        assert (wake.devbox_uid, wake.generation) == ("uid", 2)
        assert await one.store.wakes() == await two.store.wakes() == [wake]
        await one.store.unbind_devbox("uid")
        await one.store.unbind_axon("res")
        assert await two.store.devboxes() == []
        assert await two.store.axon_bindings() == []


async def test_a_deletion_ends_the_streams_of_every_replica(postgres: PostgresDatabase) -> None:
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        await one.store.publish(axon_id, event("last"))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(two.subscribe(axon_id, 10))
            await until(lambda: two.tails.followers == 1)
            await one.store.delete_axon(axon_id)
        assert reading.result() in ([(1, "last")], [])


async def test_a_replica_that_was_away_for_long_misses_nothing(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads its state anew, and its streams read from the tables."""
    monkeypatch.setattr(catch_up, "COMMITS_MAX", 3)
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        await two.store.publish(axon_id, event("1"))
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(two.subscribe(axon_id, 60))
            # The other's writer stands still while this one commits.
            with psycopg.connect(postgres.url) as blocker:
                blocker.execute(BEGIN_WRITE.removeprefix("BEGIN; ").encode())
                calls = [
                    group.create_task(one.store.publish(axon_id, event(str(n))))
                    for n in range(2, 61)
                ]
                await asyncio.sleep(0)
            for call in calls:
                await call
            for n in range(61, 80):
                await one.store.publish(axon_id, event(str(n)))
        assert reading.result()[:60] == [(n, str(n)) for n in range(1, 61)]
        assert (await two.store.publish(axon_id, event("80"))).sequence == 80


async def test_pruned_history_is_no_loss(postgres: PostgresDatabase) -> None:
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        await two.store.publish(axon_id, event("1"))
        await one.store.publish(axon_id, event("2"))
        await until(lambda: any(c.events and c.seconds is None for c in two.commits))
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(
                "WITH newest AS (SELECT max(version) AS v FROM ranvier.journal_commit), moved AS"
                " (INSERT INTO ranvier.journal_commit SELECT v + 5, 7, position, '{}' FROM"
                " ranvier.journal_commit, newest WHERE version = v)"
                " DELETE FROM ranvier.journal_commit USING newest WHERE version <= v"
            )
        assert (await two.store.publish(axon_id, event("3"))).sequence == 3
        assert any(commit.forget for commit in two.commits)


async def test_a_lost_notification_delays_and_loses_nothing(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "CHANNEL", "elsewhere")
    monkeypatch.setattr(follower, "LOOK_SECONDS", 0.05)
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(two.subscribe(axon_id, 3))
            for n in range(3):
                await one.store.publish(axon_id, event(str(n)))
        assert reading.result() == [(1, "0"), (2, "1"), (3, "2")]


@pytest.fixture
def many_open_files() -> Iterator[None]:
    """Whatever is opened now has a number that `select` does not take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
    with ExitStack() as files:
        while files.enter_context(open(os.devnull)).fileno() < SELECT_FILES_MAX:
            pass
        yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_open_files")
async def test_a_replica_with_thousands_of_open_files_hears_the_other(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with many subscribers, when a connection to the database is made anew."""
    monkeypatch.setattr(follower, "LOOK_SECONDS", 2 * DEADLINE)
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        await one.store.publish(axon_id, event("x" * 4 * 1024 * 1024))
        await until(lambda: sum(len(commit.events) for commit in two.commits) == 1)
        await two.store.publish(axon_id, event())
        await until(lambda: sum(len(commit.events) for commit in one.commits) == 2)


async def test_a_history_that_was_taken_back_is_not_mixed_with_this_one(
    postgres: PostgresDatabase,
) -> None:
    """A restored backup, or a failover that lost commits: only a fresh start may go on."""
    async with replicas(postgres, 1) as (one,):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        await one.store.publish(axon_id, event())
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute("DELETE FROM ranvier.event")
            connection.execute("DELETE FROM ranvier.journal_commit WHERE version > 1")
        with pytest.raises(JournalFailed, match="restored from a backup"):
            await one.store.publish(axon_id, event())
        assert not one.store.is_healthy
    async with replicas(postgres, 1) as (again,):
        assert (await again.store.publish(axon_id, event())).sequence == 1


async def test_a_replica_that_hangs_in_mid_transaction_loses_the_lock(
    postgres: PostgresDatabase,
) -> None:
    async with replicas(postgres, 1) as (one,):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        hung = PostgresSession(postgres.url)
        hung.run(BEGIN_WRITE)
        assert await insist(one.store, axon_id, "x") == 1
        hung.close()


async def test_connections_cut_under_load_lose_nothing(postgres: PostgresDatabase) -> None:
    """Also in the middle of a commit, whose outcome nobody here knows."""
    async with replicas(postgres) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        acknowledged: dict[int, str] = {}

        async def publish(replica: Replica, name: str) -> None:
            for number in range(60):
                payload = f"{name}-{number}"
                sequence = await insist(replica.store, axon_id, payload)
                assert acknowledged.setdefault(sequence, payload) == payload

        async def cut() -> None:
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                for _ in range(10):
                    connection.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                    )
                    await asyncio.sleep(0.02)

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(two.subscribe(axon_id, 8 * 60))
            for number in range(8):
                group.create_task(publish((one, two)[number % 2], str(number)))
            group.create_task(cut())
        assert reading.result() == sorted(acknowledged.items())
        assert sorted(acknowledged) == list(range(1, 8 * 60 + 1))


async def test_the_server_restarted_under_load_loses_nothing(own_server: PostgresServer) -> None:
    """As a crash does it, between and within commits. The stores heal by themselves."""
    database = PostgresDatabase(own_server.new_database())
    async with replicas(database) as (one, two):
        axon_id = (await one.store.create_axon(None, {})).axon_id
        acknowledged: dict[int, str] = {}
        restarted = asyncio.Event()

        async def publish(replica: Replica, name: str) -> int:
            number = 0
            while not restarted.is_set() or number < 20:
                payload = f"{name}-{number}"
                sequence = await insist(replica.store, axon_id, payload)
                assert acknowledged.setdefault(sequence, payload) == payload
                number += 1
            return number

        async with asyncio.TaskGroup() as group:
            publishing = [
                group.create_task(publish((one, two)[number % 2], str(number)))
                for number in range(8)
            ]
            for _ in range(2):
                before = len(acknowledged)
                await until(lambda before=before: len(acknowledged) > before + 50)  # type: ignore[misc]
                await asyncio.to_thread(own_server.stop, True)
                await until(lambda: not one.store.is_reachable)
                await until(lambda: not two.store.is_reachable)
                await asyncio.to_thread(own_server.start)
            restarted.set()
        total = sum(task.result() for task in publishing)
        assert sorted(acknowledged) == list(range(1, total + 1))
        for replica in (one, two):
            assert replica.store.is_reachable
            assert await replica.subscribe(axon_id, total) == sorted(acknowledged.items())
