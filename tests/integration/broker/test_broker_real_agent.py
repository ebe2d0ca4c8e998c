"""A real agent behind the broker: opencode with a scripted model, no network.

Skipped unless RANVIER_TEST_OPENCODE names the program, as installed by
`npm install --ignore-scripts --prefix DIR opencode-linux-x64@1.18.33`.
"""

import os
import signal
from collections.abc import AsyncIterator

import broker_box
import pytest
from broker_box import Box, payload
from model.record_acp import opencode_environment, scripted_model

OPENCODE = os.environ.get("RANVIER_TEST_OPENCODE", "")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not OPENCODE, reason="RANVIER_TEST_OPENCODE names no opencode"),
]
PERMISSION = "session/request_permission"


@pytest.fixture
async def opencode(box: Box, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Box]:
    monkeypatch.setattr(broker_box, "FACT_SECONDS_MAX", 60.0)
    box.agent = (OPENCODE, "acp")
    with scripted_model() as port:
        box.environment = opencode_environment(box.folder / "home", port)
        async with box:
            box.start()
            yield box


async def allow(box: Box, after: int) -> None:
    asked = await box.seen(PERMISSION, after)
    once = next(o for o in payload(asked)["options"] if o["kind"] == "allow_once")
    outcome = {"outcome": {"outcome": "selected", "optionId": once["optionId"]}}
    await box.publish(PERMISSION, outcome)


async def test_a_session_with_tools_permission_cancel_and_wake(opencode: Box) -> None:
    box = opencode
    session = await box.greet()
    trigger = await box.prompt(
        session, "My word is PELICAN. [[bash echo hi > proof.txt]] [[text ok]]"
    )
    await allow(box, trigger)
    assert (await box.ended(trigger))["event_type"] == "turn.completed"
    assert (box.folder / "home" / "proof.txt").read_text() == "hi\n"

    slow = await box.prompt(session, "[[slow 200 100]]")
    await box.seen("session/update", slow)
    await box.cancel(session)
    assert (await box.ended(slow))["event_type"] == "turn.cancelled"

    request = {"generation": 1, "idle_seconds": 0, "force": True}
    granted = await box.as_operator("POST", f"devboxes/{box.uid}/sleep", request)
    late = await box.prompt(session, "What was it? [[history]]")
    assert box.stop_broker() == 0
    box.stop_launcher()
    box.generation = granted["generation"]
    before = len([e for e in box.events if "user_message_chunk" in e["payload"]])
    box.start()
    end = await box.ended(late)
    assert "PELICAN" in box.text(late, end["sequence"])
    assert len([e for e in box.events if "user_message_chunk" in e["payload"]]) == before


async def test_a_killed_agent_goes_on_with_its_session(opencode: Box) -> None:
    box = opencode
    session = await box.greet()
    trigger = await box.prompt(session, "My word is PELICAN. [[slow 200 1000]]")
    # The first update may come before the agent has written the prompt down.
    await box.until("the agent says nothing", lambda: box.text(trigger, trigger + 100))
    for process in box.agents():
        os.kill(process, signal.SIGKILL)
    assert payload(await box.ended(trigger))["reason"] == "agent_exited"
    again = await box.prompt(session, "[[history]]")
    end = await box.ended(again)
    assert "PELICAN" in box.text(again, end["sequence"])


async def test_a_message_without_a_client_writes_a_file_after_permission(opencode: Box) -> None:
    box = opencode
    trigger = await box.publish("user.message", {"content": "[[write w.txt :: hi]] [[text done]]"})
    await allow(box, trigger)
    end = await box.ended(trigger)
    assert end["event_type"] == "turn.completed"
    chunks = [e for e in box.events if e["event_type"] == "turn.message_chunk"]
    assert "".join(payload(e)["content"] for e in chunks).strip() == "done"
    assert (box.folder / "home" / "work" / "w.txt").read_text() == "hi"
    assert {"turn.tool_call", "turn.tool_call_update"} <= {e["event_type"] for e in box.events}
