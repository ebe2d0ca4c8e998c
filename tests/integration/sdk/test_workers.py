"""Workers against a real API server: at least once, in order, effects once, nothing dropped."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from broker_box import API_KEY, Server
from ranvier import AsyncRanvier, Ranvier
from ranvier.events import AxonEvent, Origin
from ranvier.worker import (
    HANDLER_FAILED,
    CursorError,
    EventEnvelope,
    FileCursors,
    Limits,
    ReservedKind,
    SqlCursors,
    Worker,
    WorkerClient,
)

IS_LONG = bool(os.environ.get("RANVIER_SOAK"))
EVENTS, KILLS = (1_000, 50) if IS_LONG else (100, 5)
FACT_SECONDS_MAX = 120.0 if IS_LONG else 60.0
SCRIPT = Path(__file__).parents[2] / "support" / "soak_worker.py"

Handler = Callable[[EventEnvelope, WorkerClient], Awaitable[None]]


async def until(holds: Callable[[], Any], what: str = "it never came true") -> None:
    deadline = time.monotonic() + FACT_SECONDS_MAX
    while not holds():
        assert time.monotonic() < deadline, what
        await asyncio.sleep(0.005)


async def history(ranvier: AsyncRanvier, axon_id: str) -> list[AxonEvent]:
    return [event async for event in ranvier.axons.history(axon_id)]


async def put(ranvier: AsyncRanvier, axon_id: str, kind: str, **payload: Any) -> int:
    """Publish an event that starts no turn."""
    published = await ranvier.axons.publish(axon_id, kind, payload, origin=Origin.AGENT)
    return published.sequence


@asynccontextmanager
async def working(worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """A worker that runs beside the test and is stopped gracefully."""
    task = asyncio.ensure_future(worker.serve())
    try:
        yield task
    finally:
        worker.stop()
        await asyncio.wait_for(task, FACT_SECONDS_MAX)


@pytest.fixture
async def axon_id(ranvier: AsyncRanvier) -> str:
    return (await ranvier.axons.create()).id


@pytest.fixture
def make(ranvier: AsyncRanvier, axon_id: str, tmp_path: Path) -> Callable[..., Worker]:
    def make_one(**more: Any) -> Worker:
        return Worker("w", [axon_id], client=ranvier, cursors=FileCursors(tmp_path), **more)

    return make_one


class Soak:
    """The process under the kills."""

    def __init__(self, server: Server, axon_id: str, folder: Path) -> None:
        self.seen_file = folder / "seen"
        self.seen_file.touch()
        self.environment = {
            **os.environ,
            "RANVIER_BASE_URL": server.url,
            "RANVIER_API_KEY": API_KEY,
        }
        self.command = [
            sys.executable,
            str(SCRIPT),
            axon_id,
            str(folder / "c"),
            str(self.seen_file),
        ]
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, env=self.environment)

    @property
    def calls(self) -> int:
        return self.seen_file.read_bytes().count(b"\n")

    def stop(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(FACT_SECONDS_MAX)


@pytest.fixture
def soak(server: Server, axon_id: str, tmp_path: Path) -> Iterator[Soak]:
    made = Soak(server, axon_id, tmp_path)
    yield made
    if made.process is not None:
        made.process.kill()
        made.process.wait()


async def test_a_worker_killed_in_its_handlers_misses_nothing_and_acts_once(
    soak: Soak, ranvier: AsyncRanvier, axon_id: str
) -> None:
    """RANVIER_SOAK=1 runs the long form: 1,000 events, 50 kills."""
    chance = random.Random(7)
    sequences = [await put(ranvier, axon_id, "soak.item", number=n) for n in range(EVENTS)]
    for _ in range(KILLS):
        soak.start()
        # A call is written down before its effect, so right after the last one we are within it.
        enough = soak.calls + chance.randint(1, EVENTS // KILLS)
        await until(lambda enough=enough: soak.calls >= enough, "the worker does not work")
        soak.stop(signal.SIGKILL)
    soak.start()
    seen = soak.seen_file
    while len(set(seen.read_text().split())) < EVENTS:  # as long as it gets on, it may take long
        before = soak.calls
        await until(lambda before=before: soak.calls > before, "events were missed")
    assert soak.stop(signal.SIGTERM) == 0
    assert set(seen.read_text().split()) == {f"{axon_id}:{n}:soak.item" for n in sequences}
    effects = [e for e in await history(ranvier, axon_id) if e.event_type == "soak.effect"]
    numbers = Counter(json.loads(event.payload)["number"] for event in effects)
    assert numbers == Counter(range(EVENTS)), "each effect once"
    print(f"{EVENTS} events, {KILLS} kills, {soak.calls} calls")
    assert soak.calls > EVENTS, "no kill fell into a handler: this test has shown nothing"


async def test_a_worker_goes_on_where_it_stopped(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    for turn in range(2):
        seen: list[int] = []
        worker = make()

        @worker.on_event("my.item")
        async def on_item(event: EventEnvelope, _: WorkerClient, seen: list[int] = seen) -> None:
            seen.append(event.payload["number"])

        async with working(worker):
            for number in range(3):
                await put(ranvier, axon_id, "my.item", number=3 * turn + number)
            await until(lambda seen=seen: len(seen) == 3)
        assert seen == [3 * turn, 3 * turn + 1, 3 * turn + 2]


async def test_a_stopped_worker_finishes_what_runs_and_leaves_what_waits(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    begun, finished, may_end = list[int](), list[int](), asyncio.Event()
    worker = make()

    @worker.on_event("my.item")
    async def on_item(event: EventEnvelope, _: WorkerClient) -> None:
        begun.append(event.payload["number"])
        await may_end.wait()
        finished.append(event.payload["number"])

    async with working(worker) as task:
        for number in range(3):
            await put(ranvier, axon_id, "my.item", number=number)
        await until(lambda: begun)
        worker.stop()
        await asyncio.sleep(0)
        assert not task.done()
        may_end.set()
    assert begun == finished == [0]
    async with working(worker):
        await until(lambda: len(finished) == 3)
    assert finished == [0, 1, 2]


async def test_no_more_handlers_run_at_once_than_allowed_and_a_session_keeps_its_order(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    running, most, seen = 0, 0, dict[str, list[int]]()
    worker = make(concurrency=3)

    @worker.on_event("my.item")
    async def on_item(event: EventEnvelope, _: WorkerClient) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.002)
        seen.setdefault(event.session_id or "", []).append(event.payload["number"])
        running -= 1

    for number in range(40):
        session = f"s{number % 5}"
        await put(ranvier, axon_id, "my.item", number=number, session_id=session)
    async with working(worker):
        await until(lambda: sum(map(len, seen.values())) == 40)
    assert most == 3
    assert all(numbers == sorted(numbers) for numbers in seen.values())


async def test_a_handler_that_fails_is_called_again(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    calls: list[str] = []
    worker = make()

    @worker.on_event("my.item")
    async def on_item(event: EventEnvelope, _: WorkerClient) -> None:
        calls.append(event.dedupe_key)
        if len(calls) == 1:
            raise ConnectionError("away for a moment")

    await put(ranvier, axon_id, "my.item")
    async with working(worker):
        await until(lambda: len(calls) == 2)
    assert len(set(calls)) == 1
    assert len(await history(ranvier, axon_id)) == 1, "nothing was reported"


async def test_a_handler_that_fails_for_good_is_reported_on_the_axon_and_the_next_event_comes(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    seen: list[int] = []
    worker = make(limits=Limits(attempts=2))

    @worker.on_event(HANDLER_FAILED)
    @worker.on_event("my.item")
    async def on_item(event: EventEnvelope, _: WorkerClient) -> None:
        seen.append(event.payload.get("number", -1))
        if event.payload.get("number") != 2:
            raise ValueError("no good")

    for number in (1, 2):
        await put(ranvier, axon_id, "my.item", number=number)
    async with working(worker):
        await until(lambda: 2 in seen)
    reports = [e for e in await history(ranvier, axon_id) if e.event_type == HANDLER_FAILED]
    assert [json.loads(report.payload) for report in reports] == [
        {
            "worker": "w",
            "handler": on_item.__qualname__,
            "kind": "my.item",
            "sequence": 1,
            "dedupe_key": f"{axon_id}:1:my.item",
            "attempts": 2,
            "error": {"type": "ValueError", "message": "no good"},
        }
    ]
    assert seen == [1, 1, 2], "a worker is not called for its own failures"


async def test_a_handler_that_hangs_has_failed(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    worker = make(limits=Limits(attempts=1, handler_seconds=0.01))

    @worker.on_event("my.item")
    async def on_item(_: EventEnvelope, __: WorkerClient) -> None:
        await asyncio.Event().wait()

    sequence = await put(ranvier, axon_id, "my.item")
    async with working(worker), ranvier.axons.subscribe(axon_id, sequence) as events:
        report = await asyncio.wait_for(anext(aiter(events)), FACT_SECONDS_MAX)
    assert json.loads(report.payload)["error"]["type"] == "TimeoutError"


async def test_the_client_of_a_handler(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker]
) -> None:
    """Publish, notify, and refuse the runtime's names."""
    received: list[EventEnvelope] = []
    worker = make()

    @worker.on_event("my.item")
    async def on_item(event: EventEnvelope, client: WorkerClient) -> None:
        for kind in ("turn.completed", "session.mine", "prompt.x", "transport.y", "notification"):
            with pytest.raises(ReservedKind, match="reserved"):
                await client.publish(kind, {})
        await client.notify("Look here.", session_id=event.session_id)
        await client.publish("myapp.ready", {"url": "https://…"}, session_id=event.session_id)

    @worker.on_event("notification")
    @worker.on_event("myapp.ready")
    async def on_ready(event: EventEnvelope, _: WorkerClient) -> None:
        received.append(event)

    await put(ranvier, axon_id, "my.item", session_id="s1")
    async with working(worker):
        await until(lambda: received)
    [ready] = received
    assert (ready.kind, ready.session_id) == ("myapp.ready", "s1")
    assert ready.payload == {"url": "https://…", "session_id": "s1"}
    events = (await history(ranvier, axon_id))[1:]
    assert [event.event_type for event in events] == ["notification", "myapp.ready"]
    assert {event.source for event in events} == {"worker:w"}
    assert {event.origin for event in events} == {Origin.AGENT}


async def test_two_workers_of_one_name_do_not_work_beside_each_other(
    ranvier: AsyncRanvier, axon_id: str, make: Callable[..., Worker], tmp_path: Path
) -> None:
    with (
        FileCursors(tmp_path).open("w", axon_id),
        pytest.raises(CursorError, match="already runs"),
    ):
        await make().serve()


async def test_an_axon_that_is_not_there_ends_the_worker(
    ranvier: AsyncRanvier, tmp_path: Path
) -> None:
    from ranvier.client.errors import NotFound

    worker = Worker("w", ["axn_none"], client=ranvier, cursors=FileCursors(tmp_path))
    with pytest.raises(NotFound, match="no axon"):
        await worker.serve()


async def test_a_cursor_in_the_axons_database_moves_with_the_worker_and_fences_the_one_before(
    ranvier: AsyncRanvier, blocking: Ranvier, axon_id: str
) -> None:
    seen: list[tuple[str, int]] = []

    def make_one(name: str) -> Worker:
        worker = Worker("w", [axon_id], client=ranvier, cursors=SqlCursors(blocking))

        @worker.on_event("my.item")
        async def on_item(event: EventEnvelope, _: WorkerClient) -> None:
            seen.append((name, event.sequence))

        return worker

    first = make_one("first")
    task = asyncio.ensure_future(first.serve())
    sequence = await put(ranvier, axon_id, "my.item")
    await until(lambda: ("first", sequence) in seen)
    async with working(make_one("second")):
        # Until the second holds the cursor, the first may take an event and say so.
        async with asyncio.timeout(FACT_SECONDS_MAX):
            while "second" not in {name for name, _ in seen}:
                await put(ranvier, axon_id, "my.item")
                await asyncio.sleep(0.02)
        with pytest.raises(CursorError, match="took over"):
            await asyncio.wait_for(task, FACT_SECONDS_MAX)
    third = await put(ranvier, axon_id, "my.item")
    async with working(make_one("third")):
        await until(lambda: ("third", third) in seen)
    assert ("third", sequence) not in seen
