"""The whole life of a devbox on `ranvier dev` with each published SDK, over a bad network.

Each first answer is lost to a gateway that says 5xx, 409 or 429 although the call was carried out:
the clients repeat it under the same key, and nothing happens twice. What is refused for good is
asked once.
"""

import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dev_place import AGENT, Dev
from faulty_gateway import FaultyGateway
from published_sdks import PYTHON_VERSIONS, run_node, run_python, typescript_folder

FAULTS = {
    "create_and_await_running": 503,
    "publish": 500,
    "execute": 502,
    "execute_async": 429,
    "write_file_contents": 504,
    "suspend": 409,
    "resume": 503,
    "shutdown": 429,
}
FOR_GOOD = (400, 404, 409, 422)


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[FaultyGateway]:
    dev = Dev(tmp_path)
    await dev.start()
    try:
        body = {"name": "axon-agents", "dockerfile": "FROM none"}
        assert (await dev.http.post("/v1/blueprints", json=body)).is_success
        async with FaultyGateway(dev.url, FAULTS).serving() as gateway:
            yield gateway
            # One life was asked for, so one was lived.
            found = (await dev.http.get("/v1/devboxes")).json()["devboxes"]
            assert [box["status"] for box in found] == ["shutdown"]
    finally:
        await dev.stop()


def environment(gateway: FaultyGateway, tmp_path: Path) -> dict[str, str]:
    mount = {"agent_binary": sys.executable, "launch_args": [str(AGENT)]}
    return {
        "RUNLOOP_BASE_URL": gateway.url,
        "RUNLOOP_API_KEY": (tmp_path / "state" / "api-key").read_text().strip(),
        "JOURNEY_MOUNT": json.dumps(mount),
        "JOURNEY_PROMPT": json.dumps("[[say Hello.]]"),
    }


def judge(gateway: FaultyGateway, executes: str) -> None:
    for word in (*(FAULTS.keys() - {"execute", "execute_async"}), executes):
        answers = gateway.repeated(word)
        assert answers, f"no {word} came through"
        for statuses in answers:
            assert len(statuses) == 2, (word, statuses)
            assert statuses[0] == FAULTS[word]
    asked = [call for call in gateway.calls if call.method != "GET"]
    own = [call for call in asked if (call.path, call.once) not in gateway.failed]
    refused = [call for call in own if call.status in FOR_GOOD]
    assert {call.status for call in refused} >= {404, 409, 422}
    for call in refused:
        assert gateway.statuses_of(call) == [call.status], call
    assert len([c for c in gateway.calls if c.path == "/v1/devboxes/dbx_none"]) == 1


@PYTHON_VERSIONS
async def test_a_devboxs_whole_life_with_each_python_sdk(
    gateway: FaultyGateway, tmp_path: Path, version: str
) -> None:
    script = "runloop_devbox_journeys.py"
    await run_python(script, version, "whole_life", **environment(gateway, tmp_path))
    judge(gateway, "execute_async")


async def test_a_devboxs_whole_life_with_the_typescript_sdk(
    gateway: FaultyGateway, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = typescript_folder(tmp_path_factory.mktemp("typescript"))
    given = environment(gateway, tmp_path)
    await run_node(folder, "devbox_journeys.mjs", "whole_life", **given)
    judge(gateway, "execute")
