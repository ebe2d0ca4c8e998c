"""Seeds 003 and 004: their examples with our worker and our runs, over real processes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axon_client import payload
from broker_box import Box, Server
from ranvier import AsyncRanvier
from ranvier.remote import AxonJournal
from ranvier.runs import Runs
from ranvier.worker import EventEnvelope, FileCursors, Worker, WorkerClient
from snippets import SEEDS, Program, blocks

WORKERS, RUNS = SEEDS / "003_workers.md", SEEDS / "004_runs.md"
SECONDS_MAX = 20.0


@pytest.fixture
async def box(server: Server, tmp_path: Path) -> AsyncIterator[Box]:
    async with Box(server, tmp_path) as made:
        made.start()
        yield made


async def test_the_examples_of_the_page_about_runtime_events(
    ranvier: AsyncRanvier, box: Box, tmp_path: Path
) -> None:
    worker = Worker("seed", [box.axon_id], client=ranvier, cursors=FileCursors(tmp_path / "at"))
    receiving = Program(*blocks(WORKERS, "Receiving"), worker=worker)
    await receiving.run()
    received: asyncio.Queue[EventEnvelope] = asyncio.Queue()

    @worker.on_event("turn.completed")
    async def publish(event: EventEnvelope, client: WorkerClient) -> None:
        await Program(*blocks(WORKERS, "Publishing"), event=event, client=client).run()

    @worker.on_event("myapp.report_ready")
    async def receive(event: EventEnvelope, client: WorkerClient) -> None:
        received.put_nowait(event)

    working = asyncio.ensure_future(worker.serve())
    session = await box.greet()
    end = await box.ended(await box.prompt(session, "[[say Done.]]"))
    report = payload(await box.seen("myapp.report_ready", end["sequence"]))
    assert (report["report_id"], report["session_id"]) == ("abc123", session)
    custom = await asyncio.wait_for(received.get(), SECONDS_MAX)
    assert (custom.kind, custom.session_id) == ("myapp.report_ready", session)
    worker.stop()
    await asyncio.wait_for(working, SECONDS_MAX)
    assert receiving.shown.startswith("turn.completed ")


async def test_the_events_of_a_run_are_consumed_as_the_page_about_run_events_says(
    ranvier: AsyncRanvier, box: Box
) -> None:
    runs = Runs(AxonJournal(ranvier, box.axon_id))
    good = Program(*blocks(RUNS, "Consuming"), run=await runs.start("[[tool ls]] [[say Done.]]"))
    bad = Program(*blocks(RUNS, "Consuming"), run=await runs.start("[[fail gone wrong]]"))
    async with asyncio.timeout(SECONDS_MAX):
        await good.run()
        await bad.run()
    assert good.shown == "started None False\nls True\nDone.\ncompleted completed\n"
    assert bad.shown.startswith("started ")
    assert bad.shown.splitlines()[-1].startswith("failed ")
    assert "gone wrong" in bad.shown
