"""A devbox's whole life under Runloop's published SDKs, each in a process of its own, unchanged."""

from pathlib import Path

import published_sdks
import pytest
from api_process import KEY
from devbox_plant import Plant

pytestmark = pytest.mark.asyncio(loop_scope="module")


def environment(plant: Plant) -> dict[str, str]:
    return {"RUNLOOP_BASE_URL": plant.server.url, "RUNLOOP_API_KEY": KEY}


@published_sdks.PYTHON_VERSIONS
@pytest.mark.parametrize("journey", ["every_call", "async_life"])
async def test_devboxes_with_the_python_sdk(plant: Plant, version: str, journey: str) -> None:
    script = "runloop_devbox_journeys.py"
    await published_sdks.run_python(script, version, journey, **environment(plant))


async def test_devboxes_with_the_typescript_sdk(plant: Plant, tmp_path: Path) -> None:
    folder = published_sdks.typescript_folder(tmp_path)
    journeys = ("devbox_journeys.mjs", "life", "refusals")
    await published_sdks.run_node(folder, *journeys, **environment(plant))
