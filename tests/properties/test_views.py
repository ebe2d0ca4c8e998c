"""Random journals, seen through the views: order kept, one terminal a run, nothing invented.

Journals are legal where the journal itself guarantees it (a turn opens once and ends at most once,
T3 and T4) and arbitrary in all else: events of every protocol with holes and nonsense in their
payloads, lies under reserved names, unknown types.
"""

import json
from typing import Any

from axon_story import Story
from hypothesis import given
from hypothesis import strategies as st
from ranvier.events import AxonEvent, Origin
from ranvier.views import RUN_TERMINALS, AgentProtocol, RunEvents, WorkerEvents, timeline_event
from ranvier.views.worker_events import RESERVED_NAMESPACES

RUN_TYPES = {
    *RUN_TERMINALS,
    *("run_started", "step_started", "llm_called", "llm_completed", "text_delta", "warning"),
    *("tool_batch_started", "tool_completed", "tool_deferred", "tool_background_resolved"),
    *("tool_background_failed", "policy_decision", "subagent_started", "subagent_completed"),
}
KINDS = {
    *("turn.accepted", "turn.started", "turn.completed", "turn.failed", "turn.cancelled"),
    *("turn.event", "prompt.required", "session.created", "session.deleted", "session.warning"),
    *("capabilities.reloaded", "component.state_changed", "transport.heartbeat"),
}
TURN_TERMINALS = ("turn.completed", "turn.failed", "turn.cancelled")

words = st.sampled_from(["a", "b", "s1", "s2", "c1", "c2", "text", "completed", ""])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | words,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=6,
)
calls = st.sampled_from(["c1", "c2", "c3"])
sessions = st.sampled_from(["s1", "s2"])
updates = st.fixed_dictionaries(
    {
        "sessionUpdate": st.sampled_from(
            ["agent_message_chunk", "agent_thought_chunk", "tool_call", "tool_call_update", "new"]
        )
    },
    optional={
        "toolCallId": calls,
        "status": st.sampled_from(["pending", "in_progress", "completed", "failed", 7]),
        "content": st.just({"type": "text", "text": "hi"}) | anything,
        "title": words | anything,
    },
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "tool_use", "tool_result", "new"])},
    optional={"id": calls, "tool_use_id": calls, "text": words, "name": words, "input": anything},
)
items = st.fixed_dictionaries(
    {"type": st.sampled_from(["agentMessage", "commandExecution", "reasoning", "new"])},
    optional={"id": calls, "text": words, "status": words},
)
agent_events = st.one_of(
    st.tuples(
        st.just("session/update"), st.fixed_dictionaries({"sessionId": sessions, "update": updates})
    ),
    st.tuples(
        st.just("session/request_permission"),
        st.fixed_dictionaries({"sessionId": sessions, "toolCall": anything, "options": anything}),
    ),
    st.tuples(
        st.sampled_from(["assistant", "user"]),
        st.fixed_dictionaries(
            {"message": st.fixed_dictionaries({"content": st.lists(blocks, max_size=3)})},
            optional={"parent_tool_use_id": calls, "session_id": sessions},
        ),
    ),
    st.tuples(
        st.sampled_from(["item/started", "item/completed", "item/agentMessage/delta"]),
        st.fixed_dictionaries(
            {"params": st.fixed_dictionaries({"item": items, "delta": words, "itemId": calls})}
        ),
    ),
    st.tuples(
        st.sampled_from(
            [
                *("system", "stream_event", "result", "control_request", "response", "error"),
                *("session/new", "turn.message_chunk", "turn.tool_call", "turn.completed"),
                *("turn.started", "myapp.ready", "session.created", "thread/started", "new/type"),
            ]
        ),
        anything,
    ),
)
actions = st.lists(
    st.one_of(
        st.tuples(st.just("prompt"), sessions | st.none()),
        st.tuples(st.just("start"), st.integers(0, 5)),
        st.tuples(st.just("end"), st.tuples(st.integers(0, 5), st.sampled_from(TURN_TERMINALS))),
        st.tuples(st.just("agent"), agent_events),
        st.tuples(st.just("user"), st.tuples(words, anything)),
        st.tuples(st.just("answer"), anything),
        st.tuples(st.just("lie"), st.sampled_from(["turn.completed", "turn.started"])),
    ),
    max_size=40,
)


def journal_of(chosen: list[tuple[str, Any]]) -> list[AxonEvent]:
    """A legal journal of these actions; what can not be done now is left out."""
    story = Story()
    waiting: list[AxonEvent] = []
    open_turns: list[str] = []
    for action, what in chosen:
        if action == "prompt":
            is_acp = what is not None
            event = story.prompt(session=what) if is_acp else story.user("user.message", "hello")
            waiting.append(event)
        elif action == "start" and what < len(waiting):
            open_turns.append(story.started(waiting[what]))
            del waiting[: what + 1]
        elif action == "end" and what[0] < len(open_turns):
            story.system(what[1], turn_id=open_turns.pop(what[0]), reason="agent_error")
        elif action == "agent":
            story.agent(what[0], json.dumps(what[1]))
        elif action == "user":
            story.user(f"control/{what[0]}", json.dumps(what[1]))
        elif action == "answer":
            story.user("session/request_permission", json.dumps(what))
        elif action == "lie":
            story.agent(what, {"turn_id": open_turns[-1] if open_turns else "trn_none"})
    return story.events


@given(actions)
def test_a_run_begins_once_ends_at_most_once_and_nothing_follows_its_end(
    chosen: list[tuple[str, Any]],
) -> None:
    runs, story = RunEvents(), journal_of(chosen)
    told = [event for axon_event in story for event in runs.read(axon_event)]
    by_run: dict[str, list[str]] = {}
    for event in told:
        assert event.type in RUN_TYPES
        by_run.setdefault(event.run_id, []).append(event.type)
    ended = {json.loads(e.payload)["turn_id"] for e in story if is_terminal(e)}
    started = [e for e in story if e.origin is Origin.SYSTEM and e.event_type == "turn.started"]
    assert list(by_run) == [json.loads(e.payload)["turn_id"] for e in started]
    for run_id, types in by_run.items():
        assert types[0] == "run_started"
        assert types.count("run_started") == 1
        terminals = [kind for kind in types if kind in RUN_TERMINALS]
        assert len(terminals) == (run_id in ended)
        assert not terminals or types[-1] == terminals[0]


@given(actions)
def test_a_run_invents_neither_text_nor_tools(chosen: list[tuple[str, Any]]) -> None:
    runs = RunEvents()
    begun: dict[str, set[str]] = {}
    done: dict[str, list[str]] = {}
    for axon_event in journal_of(chosen):
        for event in runs.read(axon_event):
            data = event.data or {}
            if event.type == "text_delta":
                assert axon_event.origin is Origin.AGENT
                assert json.dumps(data["delta"])[1:-1] in axon_event.payload
            if event.type == "tool_batch_started":
                assert data["tool_call_count"] == len(data["tool_call_ids"])
                begun.setdefault(event.run_id, set()).update(data["tool_call_ids"])
            if event.type == "tool_completed":
                assert data["tool_call_id"] in begun[event.run_id]
                done.setdefault(event.run_id, []).append(data["tool_call_id"])
    for calls_done in done.values():
        assert len(calls_done) == len(set(calls_done)), "a tool completes once"


@given(actions)
def test_a_turns_worker_events_come_in_their_order_each_once(
    chosen: list[tuple[str, Any]],
) -> None:
    worker, story = WorkerEvents(), journal_of(chosen)
    told = [(event, envelope) for event in story for envelope in worker.read(event)]
    lifecycle = [e for e in story if e.origin is Origin.SYSTEM]
    starts = [event for event, envelope in told if envelope.kind == "turn.started"]
    ends = [event for event, envelope in told if envelope.kind in TURN_TERMINALS]
    assert starts == [event for event in lifecycle if event.event_type == "turn.started"]
    assert ends == [event for event in lifecycle if is_terminal(event)]
    for event, envelope in told:
        is_runtimes = envelope.kind.partition(".")[0] in RESERVED_NAMESPACES
        assert envelope.kind in KINDS or (not is_runtimes and envelope.kind == event.event_type)
        assert (envelope.axon_id, envelope.sequence) == (event.axon_id, event.sequence)
    keys = [envelope.dedupe_key for _, envelope in told]
    assert len(keys) == len(set(keys))


@given(actions, st.data())
def test_a_worker_that_goes_on_from_a_quiet_moment_sees_the_same(
    chosen: list[tuple[str, Any]], data: st.DataObject
) -> None:
    """Kinds, sessions and keys are the same, so a restart changes nothing that is deduplicated."""
    story = journal_of(chosen)
    stop = data.draw(st.integers(0, len(story)))
    whole = WorkerEvents()
    memory: dict[str, Any] = {}
    quiet_at = 0
    for event in story[:stop]:
        whole.read(event)
        if whole.is_quiet:
            memory, quiet_at = json.loads(json.dumps(whole.memory())), event.sequence
    again = WorkerEvents(memory)
    for event in story[quiet_at:stop]:
        again.read(event)
    for event in story[stop:]:
        expected = [(e.kind, e.dedupe_key) for e in whole.read(event) if e.kind in TURN_KINDS]
        seen = [(e.kind, e.dedupe_key) for e in again.read(event) if e.kind in TURN_KINDS]
        assert seen == expected


TURN_KINDS = {"turn.accepted", "turn.started", "session.created", *TURN_TERMINALS}


@given(actions, st.sampled_from([None, *AgentProtocol]))
def test_the_timeline_shows_every_event_as_it_is(
    chosen: list[tuple[str, Any]], protocol: AgentProtocol | None
) -> None:
    for event in journal_of(chosen):
        shown = timeline_event(event, protocol)
        assert shown.axon_event is event
        assert shown.data is None or shown.data == json.loads(event.payload)
        agents = {"acp_protocol", "claude_protocol", "codex_protocol", "pi_protocol"}
        assert shown.kind in agents | {"system", "unknown"}


def is_terminal(event: AxonEvent) -> bool:
    return event.origin is Origin.SYSTEM and event.event_type in TURN_TERMINALS
