"""The recorder, and the trace it left for the broker's tests to play."""

import json
from pathlib import Path
from typing import Any

import pytest
import record_acp

GOLDEN = Path(__file__).parents[2] / "golden" / "acp-opencode" / "trace.jsonl"
TRACES = sorted(GOLDEN.parents[1].glob("*/trace.jsonl"))
TRACE_BYTES_MAX = 60_000


def trace() -> list[Any]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def messages(direction: str) -> list[Any]:
    return [entry["msg"] for entry in trace() if entry["dir"] == direction]


def test_a_permission_is_granted_once() -> None:
    options = [
        {"optionId": "always", "kind": "allow_always"},
        {"optionId": "once", "kind": "allow_once"},
    ]
    asked = {"id": 0, "method": "session/request_permission", "params": {"options": options}}
    assert record_acp.granted(asked) == {
        "jsonrpc": "2.0",
        "id": 0,
        "result": {"outcome": {"outcome": "selected", "optionId": "once"}},
    }


def test_what_the_recorder_does_not_offer_is_unknown_to_it() -> None:
    refused = record_acp.granted({"id": 1, "method": "fs/write_text_file", "params": {}})
    assert refused["error"]["code"] == -32601


def test_paths_of_the_machine_are_left_out_of_a_trace() -> None:
    entries = [{"dir": "out", "msg": {"cwd": "/tmp/h1/work", "title": "tmp/h1/work/a"}}]
    assert record_acp.written(entries, Path("/tmp/h1")) == (
        '{"dir": "out", "msg": {"cwd": "/home/user/work", "title": "home/user/work/a"}}\n'
    )


@pytest.mark.parametrize("trace", TRACES, ids=lambda path: path.parent.name)
def test_a_golden_trace_is_small_and_names_no_path_of_a_machine(trace: Path) -> None:
    text = trace.read_text()
    assert len(text) < TRACE_BYTES_MAX
    assert "hack/agents command" in trace.with_name("README.md").read_text(), "how to record it"
    assert "tmp/" not in text


def test_the_golden_trace_holds_three_lives_with_one_session() -> None:
    asked = [message["method"] for message in messages("in") if "method" in message]
    assert asked == [
        *("initialize", "session/new", "session/prompt"),
        *("initialize", "session/resume", "session/prompt"),
        *("initialize", "session/load", "session/prompt"),
    ]
    sessions = {m["params"]["sessionId"] for m in messages("out") if "params" in m}
    assert len(sessions) == 1


def test_the_resumed_session_of_the_golden_trace_carries_its_past_to_the_model() -> None:
    updates = [
        message["params"]["update"]
        for message in messages("out")
        if message.get("method") == "session/update"
    ]
    said = "".join(
        update["content"]["text"]
        for update in updates
        if update["sessionUpdate"] == "agent_message_chunk"
    )
    assert 'HISTORY prompts=2 first="My word is PELICAN."' in said
    assert 'HISTORY prompts=3 first="My word is PELICAN."' in said
