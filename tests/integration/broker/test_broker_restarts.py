"""What dies and comes back: agent, container, broker, API server; sleep and wake (T5, T7)."""

import asyncio
import os
import signal
import sys

import pytest
from axon_client import payload
from broker_box import Box


async def has_history(box: Box, session: str, count: int, first: str) -> None:
    trigger = await box.prompt(session, "[[history]]")
    end = await box.ended(trigger)
    assert box.text(trigger, end["sequence"]).startswith(f"HISTORY {count} {first}")


async def open_turn(box: Box, session: str) -> int:
    """A turn that goes on until something happens."""
    trigger: int = await box.prompt(session, "My word is PELICAN. [[say On.]] [[hang]]")
    await box.seen("session/update", trigger)
    return trigger


@pytest.mark.parametrize("flag", ["--keep", "--no-resume"])
async def test_an_agent_that_dies_in_its_turn_comes_back_with_its_session(
    box: Box, flag: str
) -> None:
    box.agent = (*box.agent, flag)
    async with box:
        box.start()
        session = await box.greet()
        trigger = await box.prompt(session, "My word is PELICAN. [[say On.]] [[exit 3]]")
        end = payload(await box.ended(trigger))
        assert (end["reason"], end["status"]) == ("agent_exited", 3)
        await has_history(box, session, 2, "My word is PELICAN.")
        replayed = [e for e in box.events if "user_message_chunk" in e["payload"]]
        assert replayed == []


async def test_a_killed_broker_is_replaced_and_the_queue_goes_on(running: Box) -> None:
    session = await running.greet()
    trigger = await open_turn(running, session)
    waiting = await running.prompt(session, "[[history]]")
    before = running.agents()
    running.stop_broker(by=signal.SIGKILL)
    running.start_broker()
    assert (await running.ended(trigger))["event_type"] == "turn.failed"
    end = await running.ended(waiting)
    assert end["event_type"] == "turn.completed"
    assert "PELICAN" in running.text(waiting, end["sequence"])
    assert before
    assert not set(before) & set(running.agents())


async def test_a_devbox_container_started_anew_is_an_agents_exit(running: Box) -> None:
    session = await running.greet()
    trigger = await open_turn(running, session)
    agents = running.agents()
    running.stop_launcher()
    assert agents
    assert running.agents() == []
    running.start_launcher()
    end = payload(await running.ended(trigger))
    assert end["reason"] == "agent_exited"
    await has_history(running, session, 2, "My word is PELICAN.")


async def test_a_launcher_that_was_killed_is_an_agents_exit(running: Box) -> None:
    """The container died as a whole: nobody reports an exit."""
    session = await running.greet()
    trigger = await open_turn(running, session)
    for process in running.agents():
        os.kill(process, signal.SIGSTOP)
    running.stop_launcher(by=signal.SIGKILL)
    running.start_launcher()
    end = payload(await running.ended(trigger))
    assert end["reason"] == "agent_exited"


async def test_the_journal_may_go_away_in_a_turn(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[slow 20 100]]")
    await running.seen("session/update", trigger)
    running.server.kill()
    await asyncio.sleep(0.5)  # the agent goes on talking
    running.server.start()
    end = await running.ended(trigger)
    ticks = "".join(f"tick{n} " for n in range(100))
    assert running.text(trigger, end["sequence"]) == ticks


async def test_a_sleeping_devbox_has_no_broker_and_wakes_with_its_session(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "My word is PELICAN. [[say On.]]")
    await running.ended(trigger)
    request = {"generation": 1, "idle_seconds": 0, "force": True}
    answer = await running.as_operator("POST", f"devboxes/{running.uid}/sleep", request)
    assert answer["granted"]
    late = await running.prompt(session, "[[history]]")
    assert running.stop_broker() == 0
    running.stop_launcher()
    assert running.agents() == []
    running.generation = answer["generation"]
    running.start()
    end = await running.ended(late)
    assert "PELICAN" in running.text(late, end["sequence"])


async def test_a_fenced_broker_goes_quietly_and_takes_its_agent_along(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[slow 20 100000]]")
    await running.seen("session/update", trigger)
    request = {"generation": 1, "idle_seconds": 0, "force": True}
    await running.as_operator("POST", f"devboxes/{running.uid}/sleep", request)
    assert await asyncio.to_thread(running.broker.wait, 20) == 0
    assert running.agents() == []
    head = running.events[-1]["sequence"]
    assert (await running.ended(trigger))["event_type"] == "turn.failed"
    assert running.events[-1]["sequence"] >= head


async def test_sigterm_ends_the_broker_and_its_agent(running: Box) -> None:
    await running.seen("devbox.running")
    assert running.stop_broker() == 0
    assert running.agents() == []


async def test_a_missing_agent_fails_the_turns_that_wait(box: Box) -> None:
    box.agent = ("no-such-agent",)
    async with box:
        trigger = await box.publish("user.message", {"content": "hello"})
        asked = await box.publish("initialize", {})
        box.start()
        error = payload(await box.seen("agent.error", type="agent_missing"))
        assert "not found" in error["message"]
        end = payload(await box.ended(trigger))
        assert end["reason"] == "agent_unavailable"
        assert (
            "not found"
            in payload(await box.seen("turn.failed", asked, method="initialize"))["error"]
        )


async def test_a_protocol_that_is_not_supported_is_named(box: Box) -> None:
    box.protocol = "semaphore"
    async with box:
        trigger = await box.publish("user.message", {"content": "hello"})
        box.start()
        error = payload(await box.seen("broker.error"))
        assert error["message"].startswith("protocol semaphore is not supported by this version")
        assert payload(await box.ended(trigger))["reason"] == "agent_unavailable"


async def test_an_agent_that_never_lives_is_given_up(box: Box) -> None:
    box.agent = (sys.executable, "-c", "raise SystemExit(9)")
    async with box:
        trigger = await box.publish("user.message", {"content": "hello"})
        box.start()
        assert payload(await box.ended(trigger))["reason"] == "agent_exited"
        assert "status 9" in payload(await box.seen("broker.error"))["message"]
        trigger = await box.publish("user.message", {"content": "hello"})
        assert payload(await box.ended(trigger))["reason"] == "agent_unavailable"


async def test_a_talkative_agent_waits_while_the_journal_is_away(running: Box) -> None:
    """32 MB of output against an outbox of 8: the pipe holds the agent back, nothing is lost."""
    session = await running.greet()
    trigger = await running.prompt(session, "[[say Go.]]" + "[[big 1000000]]" * 32)
    await running.seen("session/update", trigger)
    running.server.kill()
    await asyncio.sleep(0.5)
    running.server.start()
    end = await running.ended(trigger)
    assert len(running.text(trigger, end["sequence"])) == 32_000_003
