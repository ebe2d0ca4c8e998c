"""A remote Claude Code over real processes: API server, broker, launcher, scripted Claude Code."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from broker_box import Box, Server
from ranvier import AsyncRanvier
from ranvier.remote import AxonJournal, ClaudeAxonConnection, RequestFailed
from ranvier.runs import Runs
from ranvier.views import AgentProtocol

AGENT = Path(__file__).parents[2] / "support" / "scripted_claude_agent.py"
SECONDS_MAX = 20.0


@pytest.fixture
async def box(server: Server, tmp_path: Path) -> AsyncIterator[Box]:
    agent = (sys.executable, str(AGENT))
    async with Box(server, tmp_path, protocol="claude_json", agent=agent) as made:
        made.start()
        yield made


@pytest.fixture
async def conn(ranvier: AsyncRanvier, box: Box) -> AsyncIterator[ClaudeAxonConnection]:
    async with ClaudeAxonConnection(AxonJournal(ranvier, box.axon_id), box) as made:
        yield made


async def test_a_conversation(conn: ClaudeAxonConnection) -> None:
    kinds: set[str] = set()
    conn.on_timeline_event(lambda event: kinds.add(event.kind))
    async with asyncio.timeout(SECONDS_MAX):
        await conn.initialize()
        result = await conn.prompt("[[say Hello.]]")
    assert result["type"] == "result"
    assert result["is_error"] is False
    assert kinds == {"claude_protocol", "system"}


async def test_permission_and_refusal(conn: ClaudeAxonConnection) -> None:
    asked: list[str] = []

    async def decide(request: dict[str, Any]) -> bool:
        asked.append(request["tool_name"])
        return len(asked) == 1

    conn.on_permission(decide)
    answers: list[str] = []
    conn.on_axon_event(
        lambda e: answers.append(e.payload) if e.event_type == "control_response" else None
    )
    async with asyncio.timeout(SECONDS_MAX):
        await conn.prompt("[[ask First?]] [[ask Second?]]")
    assert asked == ["First?", "Second?"]
    assert '"allow"' in answers[0]
    assert '"deny"' in answers[1]


async def test_a_cancel_ends_the_prompt_and_the_next_one_runs(
    conn: ClaudeAxonConnection, box: Box
) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        running = asyncio.ensure_future(conn.prompt("[[say On.]] [[hang]]"))
        await box.seen("stream_event")
        await conn.cancel()
        assert (await running)["type"] == "result"
        assert not (await conn.prompt("[[say Next.]]"))["is_error"]


async def test_a_failed_turn_is_an_error(conn: ClaudeAxonConnection) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        with pytest.raises(RequestFailed, match="gone wrong"):
            await conn.prompt("[[fail gone wrong]]")


async def test_a_run_is_a_run_with_any_protocol(ranvier: AsyncRanvier, box: Box) -> None:
    run = await Runs(AxonJournal(ranvier, box.axon_id)).start("[[say Hello.]]")
    async with asyncio.timeout(SECONDS_MAX):
        events = [event async for event in run.events]
    assert events[0].type == "run_started"
    assert "llm_called" in [event.type for event in events]
    assert events[-1].type == "run_completed"
    assert await run.text() == "Hello."


async def test_a_run_is_cancelled_in_its_protocol(ranvier: AsyncRanvier, box: Box) -> None:
    axon = AxonJournal(ranvier, box.axon_id)
    run = await Runs(axon, AgentProtocol.CLAUDE_JSON).start("[[hang]]")
    async with asyncio.timeout(SECONDS_MAX):
        await run.cancel()
        assert (await run.result()).type == "run_cancelled"
