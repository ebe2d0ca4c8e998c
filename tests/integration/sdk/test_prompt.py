"""`ranvier prompt` on a real terminal, with the real broker and a scripted agent."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from axon_client import FACT_SECONDS_MAX, payload
from broker_box import API_KEY, Box, Server
from terminal import Terminal, unread


@pytest.fixture
async def box(server: Server, tmp_path: Path) -> AsyncIterator[Box]:
    async with Box(server, tmp_path) as box:
        box.start()
        yield box


def command(box: Box, *more: str) -> list[str]:
    return [sys.executable, "-m", "ranvier.cli", "prompt", "--axon", box.axon_id, *more]


def environment(box: Box) -> dict[str, str]:
    own = {"RANVIER_BASE_URL": box.server.url, "RANVIER_API_KEY": API_KEY}
    return {**os.environ, **own}


def piped(box: Box, *more: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(box, *more),
        env=environment(box),
        input=text,
        capture_output=True,
        text=True,
        timeout=FACT_SECONDS_MAX,
        check=False,
    )


async def test_a_conversation_words_tools_and_memory(box: Box) -> None:
    def talk() -> None:
        with Terminal(command(box), environment(box)) as terminal:
            terminal.shows("› ")
            terminal.enter("[[say Hello ]] [[tool look around]] [[say there.]]")
            terminal.shows("Hello ")
            terminal.shows("● look around")
            terminal.shows("✓ look around")
            terminal.shows("there.")
            terminal.shows("› ")
            terminal.enter("[[history]]")
            terminal.shows("HISTORY 2 [[say Hello ]]")
            terminal.shows("› ")
            terminal.type("\x04")
            assert terminal.ends() == 0

    await asyncio.to_thread(talk)


async def test_a_permission_is_asked_for_and_answered(box: Box) -> None:
    def talk() -> None:
        with Terminal(command(box), environment(box)) as terminal:
            terminal.shows("› ")
            terminal.enter("[[ask Run it?]]")
            terminal.shows("Run it?  Allow it? [y/n] ")
            terminal.enter("what?")
            terminal.shows("Run it?  Allow it? [y/n] ")
            terminal.enter("y")
            terminal.shows('"optionId": "yes"')
            terminal.shows("› ")
            terminal.enter("[[ask Again?]]")
            terminal.shows("Again?  Allow it? [y/n] ")
            terminal.enter("n")
            terminal.shows('"optionId": "no"')
            terminal.shows("› ")
            terminal.type("\x04")
            assert terminal.ends() == 0

    await asyncio.to_thread(talk)


async def test_ctrl_c_cancels_the_turn_and_the_conversation_goes_on(box: Box) -> None:
    def talk() -> None:
        with Terminal(command(box), environment(box)) as terminal:
            terminal.shows("› ")
            terminal.enter("[[slow 50 500]]")
            terminal.shows("tick3")
            terminal.ctrl_c()
            terminal.shows("(cancelled)")
            terminal.shows("› ")
            terminal.enter("[[say still here]]")
            terminal.shows("still here")
            terminal.shows("› ")
            terminal.enter("[[say not listening]] [[deaf]]")
            terminal.shows("not listening")
            terminal.ctrl_c()
            terminal.shows("(cancelling; Ctrl-C again leaves)")
            terminal.ctrl_c()
            assert terminal.ends() == 130

    await asyncio.to_thread(talk)
    cancelled = box.find("turn.cancelled")
    assert cancelled is not None
    assert payload(cancelled)["stop_reason"] == "cancelled"


async def test_a_single_prompt_through_pipes(box: Box) -> None:
    done = await asyncio.to_thread(piped, box, "[[say One\nTwo]]", "[[tool look]]")
    assert (done.returncode, done.stdout) == (0, "One\nTwo\n")
    assert "\x1b" not in done.stdout + done.stderr
    assert "● look" in done.stderr
    denied = await asyncio.to_thread(piped, box, text="[[ask Run it?]]")
    assert '"optionId": "no"' in denied.stdout
    allowed = await asyncio.to_thread(piped, box, "--permission", "allow", text="[[ask Run it?]]")
    assert '"optionId": "yes"' in allowed.stdout
    failed = await asyncio.to_thread(piped, box, "[[fail on purpose]]")
    assert failed.returncode == 1
    assert "on purpose" in failed.stderr


async def test_a_reader_that_has_read_enough_is_no_failure(box: Box) -> None:
    done = await asyncio.to_thread(unread, command(box, "[[say One]]"), environment(box))
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_script_reads_the_turn_as_json(box: Box) -> None:
    done = await asyncio.to_thread(piped, box, "-o", "json", "[[say One]]")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event_type"] == "turn.completed"
    assert "turn.message_chunk" in [event["event_type"] for event in events]


async def test_an_agent_can_not_command_the_terminal(box: Box) -> None:
    done = await asyncio.to_thread(piped, box, "[[say \x1b]0;evil\x07 text]]")
    assert done.stdout == "\ufffd]0;evil\ufffd text\n"
