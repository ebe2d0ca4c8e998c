"""A remote Pi over real processes: API server, broker, launcher, scripted Pi."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from broker_box import Box, Server
from ranvier import AsyncRanvier
from ranvier.remote import AxonJournal, PiAxonConnection, RequestFailed

AGENT = Path(__file__).parents[2] / "support" / "scripted_pi_agent.py"
SECONDS_MAX = 20.0


@pytest.fixture
async def box(server: Server, tmp_path: Path) -> AsyncIterator[Box]:
    agent = (sys.executable, str(AGENT))
    async with Box(server, tmp_path, protocol="pi_json", agent=agent) as made:
        made.start()
        yield made


@pytest.fixture
async def conn(ranvier: AsyncRanvier, box: Box) -> AsyncIterator[PiAxonConnection]:
    async with PiAxonConnection(AxonJournal(ranvier, box.axon_id), box) as made:
        yield made


async def test_a_conversation(conn: PiAxonConnection) -> None:
    kinds: set[str] = set()
    conn.on_timeline_event(lambda event: kinds.add(event.kind))
    async with asyncio.timeout(SECONDS_MAX):
        assert (await conn.initialize())["messageCount"] == 0
        assert (await conn.prompt("[[say Hello.]]"))["stopReason"] == "stop"
        assert (await conn.initialize())["messageCount"] == 2
        await conn.request("new_session")
        assert (await conn.initialize())["messageCount"] == 0
    assert kinds == {"pi_protocol", "system"}


async def test_permission_and_refusal(conn: PiAxonConnection) -> None:
    asked: list[str] = []

    async def decide(dialog: dict[str, Any]) -> bool:
        asked.append(dialog["message"])
        return len(asked) == 1

    conn.on_permission(decide)
    ended: list[str] = []
    conn.on_axon_event(
        lambda e: ended.append(e.payload) if e.event_type == "tool_execution_end" else None
    )
    async with asyncio.timeout(SECONDS_MAX):
        await conn.prompt("[[ask First?]] [[ask Second?]]")
    assert asked == ["First?", "Second?"]
    assert ['"isError": true' in payload for payload in ended] == [False, True]


async def test_a_cancel_ends_the_prompt_and_the_next_one_runs(
    conn: PiAxonConnection, box: Box
) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        running = asyncio.ensure_future(conn.prompt("[[say On.]] [[hang]]"))
        await box.seen("message_update")
        await conn.cancel()
        assert (await running)["stopReason"] == "aborted"
        assert (await conn.prompt("[[say Next.]]"))["stopReason"] == "stop"


async def test_what_fails_or_is_refused_is_an_error(conn: PiAxonConnection) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(RequestFailed, match="gone wrong"):
            await conn.prompt("[[fail gone wrong]]")
        with pytest.raises(RequestFailed, match="Unknown command"):
            await conn.request("fly")
