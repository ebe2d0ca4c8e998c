"""The thirteen kinds of seed 003 and their payload fields."""

from typing import Any

from axon_story import Story
from ranvier.views import EventEnvelope, WorkerEvents, is_reserved


def told(story: Story) -> list[EventEnvelope]:
    worker = WorkerEvents()
    return [envelope for event in story.events for envelope in worker.read(event)]


def kinds(story: Story) -> list[str]:
    return [envelope.kind for envelope in told(story)]


def only(story: Story, kind: str) -> EventEnvelope:
    [envelope] = [envelope for envelope in told(story) if envelope.kind == kind]
    return envelope


def payload(story: Story, kind: str) -> dict[str, Any]:
    return only(story, kind).payload


def test_a_turn_is_accepted_started_and_completed_with_its_whole_result() -> None:
    story = Story()
    story.greet()
    turn = story.started(story.prompt("12345"))
    story.says("Hel")
    story.says("lo")
    story.update("tool_call", toolCallId="c1", title="bash", status="pending")
    story.update("tool_call_update", toolCallId="c1", status="completed")
    story.says(" done")
    story.agent("session/prompt", {"stopReason": "end_turn"})
    story.completed(turn, usage={"totalTokens": 3})
    lifecycle = ("turn.accepted", "turn.started", "turn.completed")
    assert [kind for kind in kinds(story) if kind in lifecycle] == list(lifecycle)
    assert payload(story, "turn.accepted") == {
        "agent": "tester",
        "model": "m1",
        "reset": True,
        "message_length": 5,
        "queue_depth": 0,
    }
    assert payload(story, "turn.started") == {"agent": "tester", "model": "m1"}
    assert payload(story, "turn.completed") == {
        "turn_id": turn,
        "response_text": "Hello done",
        "tool_calls": [{"tool_call_id": "c1", "tool_name": "bash", "success": True}],
        "usage": {"totalTokens": 3},
        "duration_ms": 70,
        "agent": "tester",
        "message_count": 2,
    }
    assert only(story, "turn.completed").session_id == "s1"


def test_a_failed_turn_tells_the_error_and_what_came_before_it() -> None:
    story = Story()
    turn = story.started(story.prompt())
    story.says("I beg")
    story.update("tool_call", toolCallId="c1", title="bash")
    story.system("turn.failed", turn_id=turn, error="The model is away.", reason="agent_error")
    assert payload(story, "turn.failed") == {
        "turn_id": turn,
        "error": {"type": "agent_error", "message": "The model is away."},
        "partial_response": "I beg",
        "tool_calls_attempted": [{"tool_call_id": "c1", "tool_name": "bash", "success": None}],
        "duration_ms": 30,
    }


def test_a_cancelled_turn_tells_why() -> None:
    story = Story()
    turn = story.started(story.prompt())
    story.says("One")
    story.system("turn.cancelled", turn_id=turn, stop_reason="cancelled")
    assert payload(story, "turn.cancelled") == {
        "turn_id": turn,
        "reason": "cancelled",
        "partial_response": "One",
        "duration_ms": 20,
    }


def test_turns_that_wait_are_counted_and_a_known_session_is_not_reset() -> None:
    story = Story()
    first, second = story.prompt(), story.prompt()
    story.completed(story.started(first))
    story.prompt()
    story.started(second)
    accepted = [e.payload for e in told(story) if e.kind == "turn.accepted"]
    assert [(p["queue_depth"], p["reset"]) for p in accepted] == [(0, True), (1, True), (1, False)]


def test_questions_to_people_are_prompts() -> None:
    story = Story()
    story.started(story.prompt())
    asked = story.asks()
    envelope = only(story, "prompt.required")
    assert envelope.payload["event_type"] == "session/request_permission"
    assert envelope.payload["raw_event"]["toolCall"]["toolCallId"] == "c1"
    assert (envelope.session_id, envelope.sequence) == ("s1", asked.sequence)


def test_sessions_are_created_once_and_deleted() -> None:
    story = Story()
    story.greet()
    story.agent("session/new", {"sessionId": "s1"})
    story.user("session/delete", {"sessionId": "s1"})
    story.agent("session/delete", {})
    assert kinds(story) == ["session.created", "session.deleted"]
    assert payload(story, "session.deleted") == {"session_id": "s1"}


def test_warnings_components_capabilities_and_heartbeats() -> None:
    story = Story()
    story.system("agent.error", devbox_id="d", type="line_too_long", message="Too long.")
    story.system("devbox.failed", devbox_id="dbx", reason="out_of_memory")
    story.update("available_commands_update", availableCommands=[{"name": "a"}, {"name": "b"}])
    story.agent("keep_alive", {"type": "keep_alive"})
    warning = {"code": "line_too_long", "message": "Too long.", "sync_status": None}
    assert payload(story, "session.warning") == warning
    assert payload(story, "component.state_changed") == {
        "capability": None,
        "kind": "devbox",
        "name": "dbx",
        "status": "failed",
        "error": "out_of_memory",
        "detail": {"reason": "out_of_memory"},
    }
    assert payload(story, "capabilities.reloaded") == {"capability_count": 2}
    assert payload(story, "transport.heartbeat")["event_type"] == "keep_alive"


def test_a_request_that_fails_outside_a_turn_ends_no_turn() -> None:
    story = Story()
    turn = story.started(story.prompt())
    story.system("turn.failed", error="No.", method="session/set_mode", reason="request_failed")
    story.completed(turn)
    assert "turn.failed" not in kinds(story)
    assert payload(story, "session.warning")["code"] == "request_failed"


def test_an_event_of_ones_own_keeps_its_kind() -> None:
    story = Story()
    story.agent("myapp.report_ready", {"report_id": "abc123", "session_id": "s1"})
    story.external("github.push", "no json")
    ready = only(story, "myapp.report_ready")
    assert (ready.session_id, ready.payload["report_id"]) == ("s1", "abc123")
    assert kinds(story) == ["myapp.report_ready", "turn.accepted", "github.push"]
    assert payload(story, "github.push") == {"raw_event": "no json"}


def test_nobody_but_the_runtime_ends_a_turn() -> None:
    """A client may publish any AGENT_EVENT; the reserved names are not believed."""
    story = Story()
    turn = story.started(story.prompt())
    story.agent("turn.completed", {"turn_id": turn})
    story.external("session.deleted", {"session_id": "s1"})
    story.agent("component.state_changed", {})
    story.completed(turn)
    assert kinds(story).count("turn.completed") == 1
    assert only(story, "turn.completed").sequence == story.events[-1].sequence
    assert not {"session.deleted", "component.state_changed"} & set(kinds(story))
    assert is_reserved("turn.mine")
    assert not is_reserved("turnip")


def test_a_generic_turns_text_is_told_once_though_it_stands_twice_on_the_axon() -> None:
    story = Story()
    turn = story.started(story.user("user.message", {"content": "hello"}))
    story.says("Hi")
    story.agent("turn.message_chunk", {"content": "Hi"})
    story.completed(turn)
    assert payload(story, "turn.completed")["response_text"] == "Hi"


def test_an_agent_that_speaks_no_protocol_is_heard_by_its_neutral_words() -> None:
    story = Story()
    turn = story.started(story.user("user.message", {"content": "hello"}))
    story.agent("turn.message_chunk", {"content": "Hi"})
    story.system("turn.tool_call", turn_id=turn, tool_call_id="c", title="sh", status="pending")
    story.completed(turn)
    done = payload(story, "turn.completed")
    assert (done["response_text"], done["tool_calls"][0]["tool_name"]) == ("Hi", "sh")


def test_reading_on_from_a_quiet_moment_is_like_never_having_stopped() -> None:
    story = Story()
    story.greet()
    story.completed(story.started(story.prompt()))
    story.prompt("waiting")
    before = len(story.events)
    story.completed(story.started(story.events[-1]))
    first = WorkerEvents()
    for event in story.events[:before]:
        first.read(event)
    assert first.is_quiet
    second = WorkerEvents(first.memory())
    for event in story.events[before:]:
        assert second.read(event) == first.read(event)


def test_two_events_of_a_kind_made_of_one_have_keys_of_their_own() -> None:
    story = Story()
    servers = [{"name": "files", "status": "connected"}, {"name": "web", "status": "failed"}]
    init = {"type": "system", "subtype": "init", "mcp_servers": servers}
    story.agent("system", init)
    story.agent("system", init)  # says nothing new
    changes = [e for e in told(story) if e.kind == "component.state_changed"]
    assert [e.payload["name"] for e in changes] == ["files", "web"]
    assert len({e.dedupe_key for e in changes}) == 2
