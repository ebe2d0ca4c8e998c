"""Each published SDK lives a devbox's whole life on the cluster, as on `ranvier dev`."""

import json
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from journeys import OPENCODE_IMAGE, kubectl
from model.record_acp import opencode_settings
from published_sdks import PYTHON_VERSIONS, run_node, run_python, typescript_folder
from runloop_api_client import AsyncRunloopSDK
from stage.forward import ApiForward

NAMESPACE = "default"
"""Where the chart's defaults have the REST API make devboxes."""


@pytest.fixture
async def journey(
    env: Mapping[str, str], api: ApiForward, key: str, model_url: str
) -> AsyncIterator[dict[str, str]]:
    """What the journeys that run on `ranvier dev` too are told here."""
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    sdk = AsyncRunloopSDK(bearer_token=key, base_url=api.url)
    await sdk.api.blueprints.create(name=name, dockerfile=f"FROM {OPENCODE_IMAGE}")
    made = {
        "name": name,
        "blueprint_name": name,
        "environment_variables": opencode_settings(model_url, asks=False),
    }
    yield {
        "RUNLOOP_BASE_URL": api.url,
        "RUNLOOP_API_KEY": key,
        "JOURNEY_DEVBOX": json.dumps(made),
        "JOURNEY_PROMPT": json.dumps("[[text Hello.]]"),
    }
    here = ("-n", NAMESPACE, "delete", "--wait=false", "--ignore-not-found")
    page = await sdk.api.devboxes.list(limit=100)
    found = [box for box in page.devboxes if box.name == name]
    names = [f"devbox/{(box.model_extra or {})['ranvier']['name']}" for box in found]
    await kubectl(env, *here, f"blueprint/{name}", *names)
    await sdk.aclose()


@PYTHON_VERSIONS
async def test_a_whole_life_with_each_python_sdk(journey: dict[str, str], version: str) -> None:
    await run_python("runloop_devbox_journeys.py", version, "whole_life", **journey)


async def test_a_whole_life_with_the_typescript_sdk(
    journey: dict[str, str], tmp_path: Path
) -> None:
    folder = typescript_folder(tmp_path)
    await run_node(folder, "devbox_journeys.mjs", "whole_life", **journey)
