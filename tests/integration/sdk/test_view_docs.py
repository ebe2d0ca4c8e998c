"""The snippets of docs/workers.md, run as they stand there."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from broker_box import API_KEY, Server
from ranvier import AsyncRanvier
from ranvier.events import AxonEvent, Origin

DOCS = Path(__file__).parents[3] / "docs"
FACT_SECONDS_MAX = 20.0


def snippets(name: str) -> list[str]:
    """The Python blocks of a document, in their order."""
    return re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL)


@pytest.fixture(autouse=True)
def environment(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANVIER_BASE_URL", server.url)
    monkeypatch.setenv("RANVIER_API_KEY", API_KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


async def first_of_user(ranvier: AsyncRanvier, axon_id: str) -> AxonEvent:
    """The first event that a user published, as soon as it is there."""
    async with asyncio.timeout(FACT_SECONDS_MAX), ranvier.axons.subscribe(axon_id) as events:
        async for event in events:
            if event.origin is Origin.USER:
                return event
    raise AssertionError("unreachable")


async def test_the_workers_of_the_documentation(
    ranvier: AsyncRanvier, capsys: pytest.CaptureFixture[str]
) -> None:
    axon_id = (await ranvier.axons.create()).id
    block, more = snippets("workers.md")
    names: dict[str, Any] = {"AXON_ID": axon_id}
    exec(block.partition("worker.run()")[0], names)
    exec(more, names)
    asked = {
        "sessionId": "s1",
        "toolCall": {"toolCallId": "c", "title": "ls"},
        "options": [{"optionId": "yes", "kind": "allow_once", "name": "Yes"}],
    }
    await ranvier.axons.publish(axon_id, "session/request_permission", asked, origin=Origin.AGENT)
    task = asyncio.ensure_future(names["worker"].serve())
    answer = await first_of_user(ranvier, axon_id)
    names["worker"].stop()
    await task
    assert answer.event_type == "session/request_permission"
    assert json.loads(answer.payload)["outcome"]["optionId"] == "yes"
