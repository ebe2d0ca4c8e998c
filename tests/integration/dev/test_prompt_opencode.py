"""`ranvier prompt` with the real opencode in `ranvier dev`, on a pseudo-terminal."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dev_place import Dev
from kind.agents import Program, bring
from kind.errors import Failure
from kind.places import Places
from kind.progress import Progress
from model.record_acp import opencode_settings
from model.recording import scripted_model
from prompt_story import talk_to_an_agent, terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def opencode() -> Program:
    try:
        return bring("opencode", Places.from_environment(), Progress())
    except Failure as failure:
        pytest.skip(f"opencode can not be had here: {failure}")


@pytest.fixture
async def dev(tmp_path: Path, opencode: Program) -> AsyncIterator[Dev]:
    """With a devbox whose agent is opencode and does not fall asleep between two prompts."""
    with scripted_model() as port:
        settings = opencode_settings(f"http://127.0.0.1:{port}/v1", asks=True)
        dev = Dev(tmp_path, command=opencode.command, environment=settings, idle_seconds=600)
        await dev.apply()
        yield dev
        await dev.stop(signal.SIGTERM)


async def test_a_person_talks_to_opencode_in_ranvier_dev(dev: Dev) -> None:
    def talk() -> None:
        with terminal(dev.url, dev.api_key, dev.axon_id) as opened:
            talk_to_an_agent(opened)

    await asyncio.to_thread(talk)
