"""Whole turns over real processes: API server, broker, launcher, agent (DESIGN.md, T1 to T8)."""

from axon_client import payload
from broker_box import Box
from ranvier.events import devbox_id


async def test_a_prompt_becomes_a_turn_with_its_messages_in_pipe_order(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[say Hello.]]")
    end = await running.ended(trigger)
    started = running.find("turn.started", trigger)
    told = [e["event_type"] for e in running.events if e["sequence"] > trigger]
    assert told == ["turn.started", "session/update", "session/prompt", "turn.completed"]
    assert payload(started)["trigger_sequence"] == trigger
    assert payload(end)["stop_reason"] == "end_turn"
    assert payload(end)["usage"]["outputTokens"] == 1
    assert running.text(trigger, end["sequence"]) == "Hello."


async def test_devbox_running_tells_the_phases_of_the_wake(running: Box) -> None:
    event = payload(await running.seen("devbox.running"))
    wake = event["wake"]
    assert event["devbox_id"] == devbox_id(running.uid)
    assert event["generation"] == 1
    assert wake["broker_started_ms"] <= wake["attached_ms"] <= wake["agent_ready_ms"]
    assert wake["broker_started_ms"] <= wake["agent_started_ms"] <= wake["agent_ready_ms"]


async def test_prompts_wait_for_their_turn_in_order(running: Box) -> None:
    session = await running.greet()
    triggers = [await running.prompt(session, f"[[slow 5 3]] [[say {n}.]]") for n in range(4)]
    for trigger in triggers:
        await running.ended(trigger)
    kinds = [e["event_type"] for e in running.events if e["event_type"].startswith("turn.")]
    assert kinds == ["turn.started", "turn.completed"] * 4
    started = [
        payload(e)["trigger_sequence"] for e in running.events if "started" in e["event_type"]
    ]
    assert started == triggers


async def test_a_permission_is_asked_on_the_axon_and_answered_there(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[ask Run it?]]")
    asked = await running.seen("session/request_permission", trigger)
    assert payload(asked)["toolCall"]["title"] == "Run it?"
    answer = {"outcome": {"outcome": "selected", "optionId": "yes"}}
    await running.publish("session/request_permission", answer)
    end = await running.ended(trigger)
    assert '"optionId": "yes"' in running.text(trigger, end["sequence"])


async def test_an_answer_from_before_the_question_is_none(running: Box) -> None:
    session = await running.greet()
    stale = {"outcome": {"outcome": "selected", "optionId": "stale"}}
    await running.publish("session/request_permission", stale)
    trigger = await running.prompt(session, "[[ask Run it?]]")
    await running.seen("session/request_permission", trigger)
    fresh = {"outcome": {"outcome": "selected", "optionId": "fresh"}}
    await running.publish("session/request_permission", fresh)
    end = await running.ended(trigger)
    assert '"optionId": "fresh"' in running.text(trigger, end["sequence"])


async def test_a_cancel_passes_the_queue_and_ends_the_open_turn_only(running: Box) -> None:
    session = await running.greet()
    first = await running.prompt(session, "[[slow 10 100000]]")
    second = await running.prompt(session, "[[say Second.]]")
    await running.seen("session/update", first)
    await running.cancel(session)
    end = await running.ended(first)
    assert end["event_type"] == "turn.cancelled"
    assert payload(running.find("session/prompt", first)) == {
        "stopReason": "cancelled",
        "usage": payload(running.find("session/prompt", first))["usage"],
    }
    assert (await running.ended(second))["event_type"] == "turn.completed"


async def test_a_cancelled_turn_is_cancelled_though_the_agent_says_end_turn(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[say Wait.]] [[hang end_turn]]")
    await running.seen("session/update", trigger)
    await running.cancel(session)
    end = await running.ended(trigger)
    assert end["event_type"] == "turn.cancelled"
    assert payload(end)["stop_reason"] == "end_turn"


async def test_a_cancel_answers_the_open_permission(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[ask Run it?]]")
    await running.seen("session/request_permission", trigger)
    await running.cancel(session)
    end = await running.ended(trigger)
    assert end["event_type"] == "turn.cancelled"
    assert "answer=null" in running.text(trigger, end["sequence"]), "null: it was withdrawn"


async def test_an_agents_error_fails_the_turn_and_the_queue_goes_on(running: Box) -> None:
    session = await running.greet()
    trigger = await running.prompt(session, "[[fail no model]]")
    following = await running.prompt(session, "[[say Here.]]")
    end = await running.ended(trigger)
    assert end["event_type"] == "turn.failed"
    assert payload(end)["error"] == "no model"
    assert payload(end)["reason"] == "agent_error"
    assert (await running.ended(following))["event_type"] == "turn.completed"


async def test_a_failed_request_is_told_and_belongs_to_no_turn(running: Box) -> None:
    session = await running.greet()
    asked = await running.publish("session/no_such_method", {"sessionId": session})
    failed = await running.seen("turn.failed", asked)
    assert "turn_id" not in payload(failed)
    assert payload(failed)["method"] == "session/no_such_method"
    trigger = await running.prompt(session, "[[say Still here.]]")
    assert (await running.ended(trigger))["event_type"] == "turn.completed"


async def test_a_users_message_is_a_turn_that_needs_no_client(running: Box) -> None:
    trigger = await running.publish("user.message", {"content": "[[tool ls]] [[say Generic.]]"})
    end = await running.ended(trigger)
    told = [e["event_type"] for e in running.events if trigger < e["sequence"]]
    assert [kind for kind in told if kind != "devbox.running"] == [
        "turn.started",
        "session/update",
        "turn.tool_call",
        "session/update",
        "turn.tool_call_update",
        "session/update",
        "turn.message_chunk",
        "turn.completed",
    ]
    assert payload(running.find("turn.message_chunk")) == {"content": "Generic."}
    assert payload(end)["stop_reason"] == "end_turn"
    again = await running.publish("user.message", {"content": "[[history]]"})
    end = await running.ended(again)
    assert running.text(again, end["sequence"]).startswith("HISTORY 2 ")


async def test_an_external_event_is_a_turn_with_its_payload(running: Box) -> None:
    value = {"alert": "disk full [[say Seen.]]"}
    trigger = await running.publish("monitor.alert", value, "EXTERNAL_EVENT")
    end = await running.ended(trigger)
    assert running.text(trigger, end["sequence"]) == "Seen."


async def test_what_is_no_protocol_is_logged_and_harms_nothing(running: Box) -> None:
    session = await running.greet()
    text = "[[garbage]] [[stderr a warning]] [[say Fine.]]"
    trigger = await running.prompt(session, text)
    assert (await running.ended(trigger))["event_type"] == "turn.completed"
    await running.seen("agent.log", trigger, log_type="stderr", message="a warning")
    log = payload(await running.seen("agent.log", trigger, log_type="stdout"))
    assert "this is no JSON" in log["message"]
