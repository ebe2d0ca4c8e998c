"""Agents that misbehave, in every protocol: what they do costs a turn at most, and never memory.

Deadlines are seconds here and minutes in life. `RANVIER_SOAK=1` makes the flood 100,000 updates and
the journal's absence a minute.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
from axon_client import FACT_SECONDS_MAX, Event, payload
from broker_box import Box, peak_mib
from dialects import SCRIPTED

IS_SOAK: Final = os.environ.get("RANVIER_SOAK") == "1"
UPDATES: Final = 100_000 if IS_SOAK else 3_000
AWAY_SECONDS: Final = 60.0 if IS_SOAK else 2.0
BROKER_MIB_MAX: Final = 400
"""Of the 512 MiB that the operator allows a broker."""

SOON: Final = {"silence_deadline_seconds": 1, "cancel_grace_seconds": 1}

pytestmark = pytest.mark.slow


async def turn(box: Box, script: str) -> Event:
    """A turn that plays the script; return its end."""
    return await box.ended(await box.publish("user.message", {"content": script}))


def said(box: Box) -> str:
    """All words of the agent, in order."""
    chunks = [event for event in box.events if event["event_type"] == "turn.message_chunk"]
    return "".join(payload(chunk)["content"] for chunk in chunks)


def peak(box: Box) -> float:
    assert box.broker is not None
    return peak_mib(box.broker.pid)


async def works(box: Box) -> None:
    """The queue goes on."""
    end = await turn(box, "[[say Here.]]")
    assert end["event_type"] == "turn.completed", box.told()


async def test_garbage_of_every_kind_is_logged_and_the_turn_goes_on(devbox: Box) -> None:
    devbox.start()
    end = await turn(devbox, "[[say Before.]] [[noise]] [[garbage]] [[say After.]]")
    assert end["event_type"] == "turn.completed"
    assert said(devbox) == "Before.After."
    logs = [payload(e)["message"] for e in devbox.events if e["event_type"] == "agent.log"]
    for excerpt in ("no text", '{"half":', "[1, 2]", '"word"', "this is no JSON"):
        assert any(excerpt in line for line in logs), (excerpt, logs)
    assert len(devbox.agents()) == 1


async def test_a_line_of_50_megabytes_is_complained_of_and_let_go(devbox: Box) -> None:
    devbox.start()
    end = await turn(devbox, "[[say Before.]] [[big 50000000]] [[say After.]]")
    assert end["event_type"] == "turn.completed"
    error = await devbox.seen("agent.error", type="payload_too_large")
    assert "larger than an event may be" in payload(error)["message"]
    assert said(devbox) == "Before.After."
    print(f"50 MB: broker's peak {peak(devbox):.0f} MiB")
    assert peak(devbox) < BROKER_MIB_MAX


async def test_a_flood_of_updates_is_whole_and_in_order_in_bounded_memory(devbox: Box) -> None:
    devbox.seconds_max = 300.0  # a loaded machine took 80 s
    devbox.start()
    await works(devbox)
    before = peak(devbox)
    script = f"[[chunks {UPDATES}]]"
    end = await turn(devbox, script)
    assert end["event_type"] == "turn.completed"
    chunks = [e for e in devbox.events if e["event_type"] == "turn.message_chunk"][1:]
    numbers = [int(payload(chunk)["content"].split()[1]) for chunk in chunks]
    assert numbers == list(range(UPDATES))
    print(f"{UPDATES} updates: broker's peak {before:.0f} MiB before, {peak(devbox):.0f} MiB after")
    assert peak(devbox) < before + 64  # the outbox, as Python holds it


def deaf_while(path: Path, agent: Sequence[str]) -> tuple[str, ...]:
    """An agent that never reads its stdin while the file is there, then the agent itself."""
    path.write_text("for the next")
    deaf = f"echo now >{path}; exec sleep 600"
    return ("/bin/sh", "-c", f'[ ! -e {path} ] || {{ {deaf}; }}; exec "$0" "$@"', *agent)


def wait_until_deaf(path: Path) -> None:
    deadline = time.monotonic() + FACT_SECONDS_MAX
    while path.read_text() != "now\n":
        assert time.monotonic() < deadline, "the agent was not started"
        time.sleep(0.01)


async def test_an_agent_that_never_reads_its_stdin_loses_its_turn_and_no_more(
    devbox: Box, tmp_path: Path
) -> None:
    is_deaf = tmp_path / "deaf"
    devbox.agent = deaf_while(is_deaf, devbox.agent)
    devbox.deadlines = SOON
    trigger = await devbox.publish("user.message", {"content": "x" * 3_000_000})
    devbox.start()
    await devbox.seen("turn.started", trigger)
    await asyncio.to_thread(wait_until_deaf, is_deaf)
    is_deaf.unlink()
    end = payload(await devbox.ended(trigger))
    assert (end["reason"], end["error"]) == ("silence", "the agent said nothing for 1 s")
    await works(devbox)


@pytest.mark.parametrize(
    "devbox",
    # Codex's frames wait in the broker for its greeting, which is given up after two minutes.
    [pytest.param(cast, id=cast.name) for cast in SCRIPTED if cast.name != "codex-scripted"],
    indirect=True,
)
async def test_what_an_agent_does_not_take_from_its_stdin_is_bounded_and_then_it_is_ended(
    devbox: Box, tmp_path: Path
) -> None:
    """Between turns no silence counts; 36 MB are more than a broker keeps for an agent."""
    is_deaf = tmp_path / "deaf"
    devbox.agent = deaf_while(is_deaf, devbox.agent)
    devbox.deadlines = SOON
    devbox.start()
    filler = json.dumps({"type": "update", "id": 1, "method": "filler", "params": "x" * 3_000_000})
    for _ in range(12):
        await devbox.publish("filler", filler)
    await devbox.seen("agent.error", type="agent_blocked")
    is_deaf.unlink()
    await works(devbox)
    assert peak(devbox) < BROKER_MIB_MAX


async def test_an_agent_deaf_to_cancel_and_term_is_killed_with_all_that_it_started(
    devbox: Box,
) -> None:
    devbox.agent = ("/bin/sh", "-c", """trap '' TERM; sleep 600 & "$0" "$@" """, *devbox.agent)
    devbox.deadlines = SOON
    devbox.start()
    trigger = await devbox.publish("user.message", {"content": "[[say On.]] [[deaf]]"})
    await devbox.seen("turn.message_chunk", trigger)
    group = set(devbox.agents())
    assert len(group) == 3  # shell, sleep, agent
    end = payload(await devbox.ended(trigger))
    assert (end["reason"], end["status"]) == ("silence", 137)
    await works(devbox)
    assert not group & set(devbox.agents())


async def test_a_session_that_kills_its_agent_is_given_up_and_the_queue_goes_on(
    devbox: Box,
) -> None:
    devbox.start()
    await turn(devbox, "My word is PELICAN. [[say On.]]")
    devbox.stop_launcher()
    devbox.environment = {"SCRIPTED_RESUME_KILLS": "1"}
    devbox.start_launcher()
    last = await devbox.publish("user.message", {"content": "[[history]]"})
    assert (await devbox.ended(last))["event_type"] == "turn.completed"
    assert said(devbox).startswith("On.HISTORY 1 [[history]]"), "a new conversation"
    errors = [payload(event)["type"] for event in devbox.of_type("agent.error")]
    assert errors == ["restore_failed", "session_lost"]
    logs = [payload(event)["message"] for event in devbox.of_type("agent.log")]
    assert sum("can not read session" in line for line in logs) == 3


async def test_a_turn_that_talks_for_ever_ends_at_its_deadline(devbox: Box) -> None:
    """As agents do that retry a dead model and say so."""
    devbox.deadlines = {"turn_deadline_seconds": 1, "cancel_grace_seconds": 5}
    devbox.start()
    end = await turn(devbox, "[[slow 20 1000000]]")
    assert end["event_type"] == "turn.failed"
    assert payload(end)["reason"] == "deadline"
    assert payload(end)["error"] == "the turn took longer than its 1 s"
    agents = devbox.agents()
    await works(devbox)
    assert devbox.agents() == agents  # a cancel was enough


async def test_nothing_is_lost_or_doubled_while_the_journal_is_away(devbox: Box) -> None:
    """The agent goes on talking; a prompt that waits has its turn after."""
    devbox.seconds_max += AWAY_SECONDS
    devbox.start()
    words = int(AWAY_SECONDS / 0.02) + 100
    trigger = await devbox.publish("user.message", {"content": f"[[slow 20 {words}]]"})
    waiting = await devbox.publish("user.message", {"content": "[[say Then.]]"})
    await devbox.seen("turn.message_chunk", trigger)
    before = peak(devbox)
    devbox.server.kill()
    await asyncio.sleep(AWAY_SECONDS)
    devbox.server.start()
    assert (await devbox.ended(waiting))["event_type"] == "turn.completed"
    assert said(devbox) == "".join(f"tick{number} " for number in range(words)) + "Then."
    print(f"{AWAY_SECONDS:.0f} s without a journal: broker's peak {peak(devbox):.0f} MiB")
    assert peak(devbox) < before + 64
