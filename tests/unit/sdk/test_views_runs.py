"""The run events of seed 004: their order, their data, and what each protocol tells."""

from typing import Any

from axon_story import Story
from ranvier.views import AgentRunEvent, RunEvents


def told(story: Story) -> list[AgentRunEvent]:
    runs = RunEvents()
    return [run for event in story.events for run in runs.read(event)]


def types(story: Story) -> list[str]:
    return [event.type for event in told(story)]


def data(story: Story, kind: str) -> dict[str, Any]:
    [event] = [event for event in told(story) if event.type == kind]
    return event.data or {}


def test_a_run_with_a_tool_and_a_decision() -> None:
    story = Story()
    story.greet()
    turn = story.started(story.prompt())
    story.says("Let me see.")
    story.asks("c1")
    story.answers("yes")
    story.update("tool_call_update", toolCallId="c1", status="completed", rawOutput="done")
    story.says("All done.")
    story.completed(turn)
    assert types(story) == [
        "run_started",
        "step_started",
        "text_delta",
        "tool_batch_started",
        "policy_decision",
        "policy_decision",
        "tool_completed",
        "step_started",
        "text_delta",
        "run_completed",
    ]
    events = told(story)
    assert {(event.run_id, event.thread_id) for event in events} == {(turn, "s1")}
    assert [event.step for event in events] == [0, 1, 1, 1, 1, 1, 1, 2, 2, 2]
    states = [event.state for event in events]
    assert states == ["running"] * 4 + ["waiting"] + ["running"] * 4 + ["completed"]
    assert events[0].data == {"agent_name": "tester", "resumed": False}
    batch = {"tool_call_count": 1, "tool_names": ["rm -rf"], "tool_call_ids": ["c1"]}
    assert events[3].data == batch
    decisions = [(e.data or {})["action"] for e in events if e.type == "policy_decision"]
    assert decisions == ["ask", "allow"]
    assert data(story, "tool_completed") == {
        "tool_name": "rm -rf",
        "tool_call_id": "c1",
        "success": True,
        "output": "done",
        "error": None,
        "agent_name": "tester",
        "agent_depth": 0,
        "agent_path": ["tester"],
    }


def test_a_refusal_is_a_decision_and_a_withdrawn_question_too() -> None:
    story = Story()
    story.started(story.prompt())
    story.asks("c1")
    story.answers("no")
    story.asks("c2")
    story.user("session/request_permission", {"outcome": {"outcome": "cancelled"}})
    actions = [(e.data or {})["action"] for e in told(story) if e.type == "policy_decision"]
    assert actions == ["ask", "deny", "ask", "cancelled"]


def test_a_box_that_goes_away_interrupts_and_an_error_fails() -> None:
    story = Story()
    for reason in ("interrupted", "suspended", "unmounted", "silence", "deadline", "agent_error"):
        turn = story.started(story.prompt())
        story.system("turn.failed", turn_id=turn, error=f"Because {reason}.", reason=reason)
    turn = story.started(story.prompt())
    story.system("turn.cancelled", turn_id=turn)
    ends = [(e.type, e.state, e.message) for e in told(story) if e.step == 1 and e.data is None]
    interrupted = [
        ("run_interrupted", "interrupted", f"Because {reason}.")
        for reason in ("interrupted", "suspended", "unmounted", "silence", "deadline")
    ]
    failed = ("run_failed", "failed", "Because agent_error.")
    assert ends == [*interrupted, failed, ("run_cancelled", "cancelled", None)]


def test_runs_of_two_sessions_at_once_stay_apart() -> None:
    story = Story()
    one, two = story.prompt(session="s1"), story.prompt(session="s2")
    first, second = story.started(one), story.started(two)
    story.says("to one", "s1")
    story.says("to two", "s2")
    story.says("to nobody", "s3")
    story.completed(first)
    story.completed(second)
    deltas = {e.run_id: (e.data or {})["delta"] for e in told(story) if e.type == "text_delta"}
    assert deltas == {first: "to one", second: "to two"}


def claude(story: Story, kind: str, **members: Any) -> None:
    story.agent(kind, {"type": kind, "session_id": "c", **members})


def test_claude_code_tells_of_subagents_and_background_tools() -> None:
    story = Story()
    turn = story.started(story.user("query", {"type": "user", "message": {"content": "go"}}))
    claude(story, "system", subtype="init", model="opus")
    claude(story, "system", subtype="status", status="requesting")
    explore = {"type": "tool_use", "id": "t1", "name": "Task", "input": {"subagent_type": "look"}}
    shell = {"type": "tool_use", "id": "t2", "name": "Bash", "input": {"run_in_background": True}}
    claude(story, "assistant", message={"id": "m1", "content": [explore, shell]})
    claude(story, "system", subtype="task_started", task_id="b1", tool_use_id="t2")
    read = {"type": "tool_use", "id": "t3", "name": "Read", "input": {}}
    claude(story, "assistant", message={"id": "m2", "content": [read]}, parent_tool_use_id="t1")
    for call in ("t3", "t1", "t2"):
        result = {"type": "tool_result", "tool_use_id": call, "content": f"out of {call}"}
        claude(story, "user", message={"content": [result]})
    over = {"task_id": "b1", "tool_use_id": "t2", "status": "completed", "summary": "ok"}
    claude(story, "system", subtype="task_notification", **over)
    story.completed(turn)
    assert data(story, "llm_called") == {"model": "opus", "provider": None}
    assert data(story, "llm_completed")["tool_call_count"] == 2
    started = {"subagent_name": "look", "correlation_id": "t1"}
    assert data(story, "subagent_started") == started
    assert data(story, "subagent_completed") == {
        "subagent_name": "look",
        "success": True,
        "latency_ms": 40,
    }
    assert data(story, "tool_deferred")["ticket_id"] == "b1"
    assert data(story, "tool_background_resolved")["output"] == "ok"
    done = {
        (e.data or {})["tool_call_id"]: e.data for e in told(story) if e.type == "tool_completed"
    }
    assert (done["t3"] or {})["agent_path"] == ["Claude Code", "look"]
    assert (done["t3"] or {})["agent_depth"] == 1
    assert (done["t1"] or {})["agent_depth"] == 0


def test_a_background_tool_that_fails_is_told_with_its_ticket() -> None:
    story = Story()
    turn = story.started(story.user("query", {"type": "user", "message": {"content": "go"}}))
    shell = {"type": "tool_use", "id": "t1", "name": "Bash", "input": {"run_in_background": True}}
    claude(story, "assistant", message={"id": "m1", "content": [shell]})
    claude(story, "system", subtype="task_started", task_id="b1", tool_use_id="t1")
    over = {"task_id": "b1", "tool_use_id": "t1", "status": "failed", "summary": "exit 1"}
    claude(story, "system", subtype="task_notification", **over)
    story.completed(turn)
    assert data(story, "tool_background_failed") == {
        "tool_name": "Bash",
        "tool_call_id": "t1",
        "ticket_id": "b1",
        "error": "exit 1",
    }


def test_a_warning_ends_nothing() -> None:
    story = Story()
    turn = story.started(story.user("query", {"message": {"content": "go"}}))
    claude(story, "system", subtype="api_retry", attempt=1, max_retries=2, error="rate_limit")
    story.completed(turn)
    assert types(story)[2:] == ["warning", "run_completed"]
    assert data(story, "warning") == {"code": "api_retry"}


def test_a_tool_that_is_said_to_end_twice_ends_once() -> None:
    story = Story()
    story.started(story.prompt())
    for _ in range(2):
        story.update("tool_call_update", toolCallId="c1", status="completed")
    assert types(story)[2:] == ["tool_batch_started", "tool_completed"]
