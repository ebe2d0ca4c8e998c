"""The worker's parts: how far it has come, where that is kept, and answers to questions."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.resources import AgentProtocol
from ranvier.views import answers
from ranvier.worker.cursors import CursorError, FileCursors
from ranvier.worker.progress import Position, Progress


@given(st.lists(st.integers(0, 2), max_size=12), st.randoms(use_true_random=False))
def test_the_cursor_never_passes_an_event_that_is_not_handled(
    deliveries: list[int], chance: Any
) -> None:
    progress, open_ones = Progress(Position(5, 5, {})), list[int]()
    for sequence, count in enumerate(deliveries, start=6):
        progress.delivered(sequence, count)
        open_ones += [sequence] * count
        progress.note(sequence, {"at": sequence})
    while True:
        read = len(deliveries) + 5
        position = progress.position
        assert position.cursor == min(open_ones, default=read + 1) - 1
        assert position.read_after <= position.cursor
        assert position.memory == ({"at": position.read_after} if position.read_after > 5 else {})
        if not open_ones:
            break
        progress.handled(open_ones.pop(chance.randrange(len(open_ones))))
    assert progress.events_ahead == 0


def test_a_cursor_comes_back_and_each_worker_and_axon_has_its_own(tmp_path: Path) -> None:
    cursors = FileCursors(tmp_path)
    position = Position(7, 3, {"agent": "a"})
    with cursors.open("a/b", "axn_1") as cursor:
        assert cursor.load() == Position()
        cursor.save(position)
    with cursors.open("a/b", "axn_1") as cursor, cursors.open("a", "b.axn_1") as other:
        assert cursor.load() == position
        assert other.load() == Position()


@pytest.mark.parametrize("text", ["", "{}", '{"format": 9}', '{"format": 1, "cursor": "x"}'])
def test_a_cursor_that_can_not_be_read_is_named_and_nothing_starts_over(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "w.axn.json").write_text(text)
    with (
        FileCursors(tmp_path).open("w", "axn") as cursor,
        pytest.raises(CursorError, match=r"w\.axn\.json can not be read.*delete it to start"),
    ):
        cursor.load()


OPTIONS = [
    {"optionId": "always", "kind": "allow_always"},
    {"optionId": "once", "kind": "allow_once"},
    {"optionId": "no", "kind": "reject_once"},
]
ASKED = {"request_id": "r", "request": {"subtype": "can_use_tool", "input": {"command": "ls"}}}
APPROVAL = "item/commandExecution/requestApproval"


@pytest.mark.parametrize(
    ("event_type", "question", "choice", "answer"),
    [
        (
            "session/request_permission",
            {"options": OPTIONS},
            {"allow": True},
            {"outcome": {"outcome": "selected", "optionId": "once"}},
        ),
        (
            "session/request_permission",
            {"options": OPTIONS},
            {"allow": True, "option_id": "always"},
            {"outcome": {"outcome": "selected", "optionId": "always"}},
        ),
        (
            "session/request_permission",
            {"options": OPTIONS[:1]},
            {"allow": False},
            {"outcome": {"outcome": "cancelled"}},
        ),
        (APPROVAL, {"id": 0}, {"allow": True}, {"id": 0, "result": {"decision": "accept"}}),
        (APPROVAL, {"id": 0}, {"allow": False}, {"id": 0, "result": {"decision": "decline"}}),
    ],
)
def test_permission_is_given_in_the_agents_protocol(
    event_type: str, question: dict[str, Any], choice: dict[str, Any], answer: dict[str, Any]
) -> None:
    assert answers.permission(event_type, question, **choice)[1] == answer


def test_claude_code_is_answered_by_request_id() -> None:
    kind, allowed = answers.permission("control_request", ASKED, allow=True)
    assert (kind, allowed["response"]["request_id"]) == ("control_response", "r")
    behaviour = {"behavior": "allow", "updatedInput": {"command": "ls"}}
    assert allowed["response"]["response"] == behaviour
    denied = answers.permission("control_request", ASKED, allow=False, reason="Not now.")[1]
    assert denied["response"]["response"] == {"behavior": "deny", "message": "Not now."}


def test_a_form_is_filled_in_or_declined() -> None:
    filled = answers.human_input("session/elicitation", {}, {"name": "x"})
    assert filled == ("session/elicitation", {"action": "accept", "content": {"name": "x"}})
    declined = answers.human_input("elicitation/create", {}, None)
    assert declined == ("elicitation/create", {"action": "decline"})
    asked = answers.human_input("item/tool/requestUserInput", {"id": 4}, {"q": "a"})
    assert asked == ("response", {"id": 4, "result": {"answers": {"q": "a"}}})


def test_pis_dialogs_are_answered_by_their_id() -> None:
    def answered(**answer: Any) -> Any:
        kind = "extension_ui_response"
        return kind, {"type": kind, "id": "d1", **answer}

    confirm = {"id": "d1", "method": "confirm"}
    assert answers.permission("extension_ui_request", confirm, allow=True) == answered(
        confirmed=True
    )
    assert answers.permission("extension_ui_request", confirm, allow=False) == answered(
        confirmed=False
    )
    choose = {"id": "d1", "method": "select", "options": ["a", "b"]}
    assert answers.human_input("extension_ui_request", choose, "b") == answered(value="b")
    assert answers.human_input("extension_ui_request", choose, None) == answered(cancelled=True)
    with pytest.raises(answers.NotAQuestion):
        answers.permission("extension_ui_request", {"id": "d1", "method": "notify"}, allow=True)


def test_every_protocol_has_its_cancel() -> None:
    kinds = {protocol: answers.cancellation(protocol, "r")[0] for protocol in AgentProtocol}
    assert kinds == {
        AgentProtocol.ACP: "session/cancel",
        AgentProtocol.CLAUDE_JSON: "control_request",
        AgentProtocol.CODEX_JSON: "turn/interrupt",
        AgentProtocol.CODEX_APP_SERVER: "turn/interrupt",
        AgentProtocol.PI_JSON: "cancel",
    }


def test_what_asks_for_nothing_is_not_answered() -> None:
    with pytest.raises(answers.NotAQuestion, match="session/update asks for no permission"):
        answers.permission("session/update", {}, allow=True)
    with pytest.raises(answers.NotAQuestion, match="asks for no input"):
        answers.human_input("session/request_permission", {}, {})
