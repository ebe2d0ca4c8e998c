"""The snippets of the concepts and of the guides to the views, run as they stand."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from axon_client import payload
from broker_box import API_KEY, Box, Server
from ranvier.events import Origin

DOCS = Path(__file__).parents[3] / "docs"
SECONDS_MAX = 20.0


@pytest.fixture
async def box(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Box]:
    monkeypatch.setenv("RANVIER_BASE_URL", server.url)
    monkeypatch.setenv("RANVIER_API_KEY", API_KEY)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    async with Box(server, tmp_path) as made:
        made.start()
        yield made


def read(name: str, box: Box) -> dict[str, Any]:
    """Everything that the Python blocks of a document define, read in their order."""
    names: dict[str, Any] = {"AXON_ID": box.axon_id, "CWD": str(box.folder / "home")}
    for block in re.findall(r"```python\n(.*?)```", (DOCS / name).read_text(), re.DOTALL):
        exec(block.replace("worker.run()", ""), names)
    return names


async def test_the_concepts_tell_a_turn_as_it_is(box: Box) -> None:
    names = read("concepts.md", box)
    asked = await box.publish("user.message", {"content": "[[say Hello.]]"})
    end = await box.ended(asked)
    counts = await names["what_stands_there"](box.axon_id)
    assert sum(counts.values()) >= end["sequence"]
    assert counts[Origin.USER] == 1
    page = (DOCS / "concepts.md").read_text()
    [told] = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    shown = [line.split()[1:] for line in told.splitlines() if line.split()[0].isalnum()]
    types = [[event["origin"], event["event_type"]] for event in box.events]
    places = [types.index(line) for line in shown]
    assert places == sorted(places)
    assert places[-1] == end["sequence"] - 1


async def test_the_workers_of_the_documentation(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    worker = read("workers.md", box)["worker"]
    working = asyncio.ensure_future(worker.serve())
    session = await box.greet()
    prompt = await box.prompt(session, "[[ask Run it?]] [[say Done.]]")
    await box.ended(prompt)
    report = payload(await box.seen("myapp.report_ready", prompt))
    assert report["report_id"] == "abc123"
    assert report["session_id"] == session
    assert report["text"].endswith("Done.")
    assert '"optionId": "yes"' in report["text"].replace("\\", "")
    await box.seen("notification", prompt, message="The report is ready.")
    worker.stop()
    await asyncio.wait_for(working, SECONDS_MAX)
    assert "turn.completed" in capsys.readouterr().out


async def test_the_run_of_the_documentation(box: Box, capsys: pytest.CaptureFixture[str]) -> None:
    await asyncio.wait_for(read("runs.md", box)["main"](), SECONDS_MAX)
    assert box.find("turn.completed") or await box.seen("turn.completed")


async def test_the_remote_agents_of_the_documentation(
    box: Box, capsys: pytest.CaptureFixture[str]
) -> None:
    names = read("remote-agents.md", box)
    async with asyncio.timeout(SECONDS_MAX):
        await names["main"]()
        shown = capsys.readouterr().out
        assert "Seq 1: [system] devbox.running" in shown or "Seq 1: [acp_protocol]" in shown
        assert shown.endswith("end_turn\n")
        session = payload(await box.seen("session/new"))["sessionId"]
        await names["resume"](session, box.events[-1]["sequence"])
    assert int(capsys.readouterr().out) > 0
    assert await names["decide"](_Question()) is True


class _Question:
    """As much of a permission request as the snippet looks at."""

    class tool_call:
        title = "ls"

    options = ()
