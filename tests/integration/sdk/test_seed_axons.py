"""Seed 000: every example of the page about axons, verbatim, with Runloop's published client."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from broker_box import API_KEY, Box, Server
from ranvier import AsyncRanvier
from snippets import SEEDS, Program, blocks

PAGE = SEEDS / "000_axons.md"
PLACEHOLDER = "axn_abc123"
SECONDS_MAX = 20.0


@pytest.fixture(autouse=True)
def surroundings(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNLOOP_BASE_URL", server.url)
    monkeypatch.setenv("RUNLOOP_API_KEY", API_KEY)


def example(heading: str, axon_id: str = PLACEHOLDER) -> Program:
    return Program(*(text.replace(PLACEHOLDER, axon_id) for text in blocks(PAGE, heading)))


@asynccontextmanager
async def running(program: Program) -> AsyncIterator[Callable[[str], "asyncio.Future[None]"]]:
    """The program beside the test, for as long as the test lasts: most examples read for ever."""
    task = asyncio.ensure_future(program.run())

    async def shows(text: str) -> None:
        deadline = time.monotonic() + SECONDS_MAX
        while text not in program.shown:
            assert time.monotonic() < deadline, program.shown
            if task.done():
                task.result()
            await asyncio.sleep(0.01)

    try:
        yield lambda text: asyncio.ensure_future(shows(text))
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await program.names["runloop"].aclose()


async def test_the_quick_example() -> None:
    async with running(example("Quick example")) as shows:
        await shows('1 user.message {"content": "Summarize the latest PR feedback."}\n')


async def test_the_quick_start_in_its_three_steps() -> None:
    program = example("Quick start")
    async with running(program) as shows:
        await shows("Published with sequence: 1\n")
        await shows("Seq 1: [app] user.message\n  Origin: USER_EVENT\n  Payload: {")
    assert program.shown.startswith("Created axon: axn_")


async def test_a_turn_from_the_message_to_its_end(
    server: Server, ranvier: AsyncRanvier, tmp_path: Path
) -> None:
    """The devbox comes after the message: it waits on the axon."""
    program = example("A turn")
    async with running(program) as shows:
        axon_id = await asyncio.wait_for(_made(ranvier, "assistant-turns"), SECONDS_MAX)
        says = {"SCRIPTED_ANSWER": "[[say Two tests fail, ]][[say both in the parser.]]"}
        async with Box(server, tmp_path, more_axons=[axon_id], environment=says) as box:
            box.start()
            await shows("\nTurn complete\n")
    assert program.shown == "Two tests fail, both in the parser.\nTurn complete\n"


async def _made(ranvier: AsyncRanvier, name: str) -> str:
    """The id of the axon of this name, once something stands on it."""
    while True:
        for axon in (await ranvier.axons.list(name=name)).items:
            if (await ranvier.axons.events(axon.id)).items:
                return axon.id
        await asyncio.sleep(0.02)


async def test_webhooks_that_fan_in() -> None:
    async with running(example("Webhooks")) as shows:
        await shows("1: github -> push\n2: slack -> incident.created\n")


async def test_reconnecting(ranvier: AsyncRanvier) -> None:
    axon = await ranvier.axons.create("kept")
    await ranvier.axons.publish(axon.id, "note", "from before")
    async with running(example("Reconnecting", axon.id)) as shows:
        await shows("Axon: kept, created: 20")
        await shows("from before")


@pytest.mark.parametrize(
    ("heading", "shown"), [("Listing", "{id}: listed\n"), ("Retrieving", "Name: listed\n")]
)
async def test_axons_are_managed(ranvier: AsyncRanvier, heading: str, shown: str) -> None:
    axon = await ranvier.axons.create("listed")
    async with running(example(heading, axon.id)) as shows:
        await shows(shown.format(id=axon.id))
