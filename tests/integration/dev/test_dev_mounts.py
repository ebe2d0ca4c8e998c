"""Files and code that a devbox of `ranvier-dev` is given, with the published Python SDK."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from dev_place import Dev
from runloop_api_client import AsyncRunloopSDK

NOWHERE = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "url.file:///none/.insteadOf",
    "GIT_CONFIG_VALUE_0": "https://github.com/",
}
"""For git on this machine GitHub is a folder that is not there."""


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    dev = Dev(tmp_path)
    await dev.start()
    yield dev
    await dev.stop()


@pytest.fixture
async def sdk(dev: Dev) -> AsyncIterator[AsyncRunloopSDK]:
    async with AsyncRunloopSDK(bearer_token=dev.api_key, base_url=dev.url) as client:
        await client.api.blueprints.create(name="plain", dockerfile="FROM none")
        yield client


async def test_files_are_there_and_the_agents_changes_outlast_a_sleep(
    dev: Dev, sdk: AsyncRunloopSDK
) -> None:
    content = "a $HOME\n/home/user/x \\n äöü"
    box = await sdk.devbox.create(
        blueprint_name="plain",
        mounts=[{"type": "file_mount", "target": "conf/a", "content": content}],
        file_mounts={"~/b": "old form"},
        launch_parameters={"launch_commands": ["cat b >>seen"]},
    )
    assert await box.file.read(file_path="conf/a") == content
    await box.file.write(file_path="conf/a", contents="mine")
    await box.suspend()
    await box.await_suspended()
    await box.resume()
    assert await box.file.read(file_path="conf/a") == "mine"
    assert await box.file.read(file_path="seen") == "old form" * 2


async def test_a_clone_that_can_not_be_had_says_so_and_shows_no_token(
    dev: Dev, sdk: AsyncRunloopSDK
) -> None:
    made = await sdk.api.devboxes.create(
        blueprint_name="plain",
        environment_variables=NOWHERE,
        mounts=[{"type": "code_mount", "repo_owner": "o", "repo_name": "tool", "token": "t0ken-1"}],
    )
    failed: Any = await dev.until("failure", lambda: failure(sdk, made.id))
    assert failed.failure_reason == "execution_failed"
    message = failed.model_extra["ranvier"]["message"]
    assert "Code mount https://github.com/o/tool.git can not be cloned: " in message
    assert "t0ken-1" not in json.dumps(failed.model_dump(mode="json"))
    assert (await sdk.api.secrets.list()).secrets == []


async def failure(sdk: AsyncRunloopSDK, identifier: str) -> Any:
    found = await sdk.api.devboxes.retrieve(identifier)
    return found if found.status == "failure" else None
