"""A home volume that is full, with a real one: condition, REST status and event, and back again."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from dev_place import AGENT, Dev
from runloop_api_client import AsyncRunloopSDK

SIZE = "16m"


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Path]:
    """Where the claims of `ranvier-dev` lie: a file system of their own."""
    folder = tmp_path / "state" / "volumes"
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if os.geteuid() != 0 or shutil.which("mount") is None or subprocess.run(command).returncode:
        pytest.skip("only root can mount a file system that is small enough to be filled")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
async def dev(volumes: Path, tmp_path: Path) -> AsyncIterator[Dev]:
    dev = Dev(tmp_path)
    await dev.start()
    yield dev
    await dev.stop()


async def test_a_full_home_is_a_failure_with_a_remedy_and_is_over_when_there_is_room(
    dev: Dev,
) -> None:
    async with AsyncRunloopSDK(bearer_token=dev.api_key, base_url=dev.url) as sdk:
        axon = await sdk.axon.create()
        dev.axon_id = axon.id
        mount: Any = {
            "type": "broker_mount",
            "axon_id": axon.id,
            "agent_binary": sys.executable,
            "launch_args": [str(AGENT)],
        }
        await sdk.api.blueprints.create(name="plain", dockerfile="FROM none")
        box = await sdk.devbox.create(blueprint_name="plain", mounts=[mount])
        filled = await box.cmd.exec("cat /dev/zero >filling")
        assert filled.exit_code != 0

        async def is_now(status: str) -> Any:
            found = await box.get_info()
            return found if found.status == status else None

        failed = await dev.until("failure", lambda: is_now("failure"))
        assert failed.failure_reason == "out_of_disk"
        assert failed.model_extra["ranvier"]["reason"] == "HomeFull"
        assert "Remove files from it" in failed.model_extra["ranvier"]["message"]
        told = await dev.seen("devbox.failed")
        assert (told["reason"], told["condition"]) == ("out_of_disk", "HomeFull")
        assert (await box.cmd.exec("rm filling")).exit_code == 0
        await dev.until("running", lambda: is_now("running"))
        assert len(await dev.events("devbox.failed")) == 1, json.dumps(told)
