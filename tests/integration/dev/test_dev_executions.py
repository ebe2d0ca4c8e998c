"""Commands and files in a devbox of `ranvier-dev`, with the published Python SDK."""

import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dev_place import Dev
from runloop_api_client import AsyncRunloop, BadRequestError


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    dev = Dev(tmp_path)
    yield dev
    if dev.process.poll() is None:
        await dev.stop()


async def test_a_command_keeps_its_devbox_awake_and_none_is_started_in_one_that_sleeps(
    dev: Dev,
) -> None:
    await dev.apply()
    first = await dev.say("[[say Hello.]]")
    devbox = (await dev.seen("devbox.suspended", first))["devbox_id"]
    # Long enough that the devbox is awake when the command comes, and shorter than the command.
    turn = await dev.say("[[slow 30 100]]")
    await dev.seen("turn.started", turn)
    key = dev.http.headers["authorization"].removeprefix("Bearer ")
    async with AsyncRunloop(bearer_token=key, base_url=str(dev.http.base_url)) as client:
        asked_ms = time.time() * 1000
        command = "sleep 4; pwd; echo done >made"
        done = await client.devboxes.execute(devbox, command=command, command_id="one")
        assert done.exit_status == 0
        assert (Path((done.stdout or "").strip()) / "made").read_text() == "done\n"
        await dev.seen("devbox.suspended", turn)
        [slept] = await dev.events("devbox.suspended", turn)
        assert slept["timestamp_ms"] >= asked_ms + 5000  # the command, then the idle time
        with pytest.raises(BadRequestError, match="resume it"):
            await client.devboxes.read_file_contents(devbox, file_path="made")
