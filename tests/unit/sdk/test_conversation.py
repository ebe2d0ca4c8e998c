"""One turn at a terminal: what is shown, asked and published, for every protocol."""

import json
from typing import Any

import pytest
from ranvier.cli.conversation import (
    Ask,
    Command,
    Conversation,
    Ending,
    Heard,
    Hush,
    Interrupted,
    Later,
    Over,
    Permission,
    Soon,
    Style,
    Typed,
    Waited,
    Write,
)
from ranvier.cli.dialects import Dialect, Message
from ranvier.events import AxonEvent, Origin

TRIGGER = 10
TURN = {"turn_id": "trn_10"}
ACP_ASK = {
    "toolCall": {"title": "rm -rf build"},
    "options": [
        {"optionId": "1", "kind": "allow_once"},
        {"optionId": "2", "kind": "allow_always"},
        {"optionId": "3", "kind": "reject_once"},
    ],
}
CLAUDE_ASK = {
    "type": "control_request",
    "request_id": "r7",
    "request": {"subtype": "can_use_tool", "tool_name": "Bash", "input": {"command": "ls"}},
}
CODEX_ASK = {
    "id": 3,
    "method": "item/commandExecution/requestApproval",
    "params": {"command": "ls"},
}


def acp(option: str) -> dict[str, Any]:
    return {"outcome": {"outcome": "selected", "optionId": option}}


class Talk:
    """A conversation whose events are numbered on."""

    def __init__(self, permission: Permission = Permission.ASK) -> None:
        self.conversation = Conversation(TRIGGER, Dialect(), permission)
        self.sequence = TRIGGER

    def hear(self, origin: Origin, event_type: str, payload: Any) -> list[Command]:
        self.sequence += 1
        text = payload if isinstance(payload, str) else json.dumps(payload)
        event = AxonEvent("axn", self.sequence, 1, origin, "broker", event_type, text)
        return self.conversation.handle(Heard(event))

    def agent(self, event_type: str, payload: Any) -> list[Command]:
        return self.hear(Origin.AGENT, event_type, payload)

    def system(self, event_type: str, **payload: Any) -> list[Command]:
        return self.hear(Origin.SYSTEM, event_type, payload)

    def tool(self, event_type: str, **payload: Any) -> list[Command]:
        return self.system(event_type, **TURN, tool_call_id="1", **payload)

    def start(self) -> list[Command]:
        return self.system("turn.started", **TURN, trigger_sequence=TRIGGER)

    def type(self, line: str) -> list[Command]:
        return self.conversation.handle(Typed(line))


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    assert talk.start() == []
    return talk


def test_words_and_tools_are_shown_until_the_turn_is_over(talk: Talk) -> None:
    assert talk.agent("turn.message_chunk", {"content": "Hel"}) == [Write("Hel", is_line=False)]
    assert talk.tool("turn.tool_call", title="bash", status="pending") == [Soon("1")]
    assert talk.tool("turn.tool_call_update", title="ls", status="in_progress") == [
        Write("● ls", Style.TOOL)
    ]
    assert talk.conversation.handle(Later("1")) == []
    assert talk.tool("turn.tool_call_update", status="completed") == [Write("✓ ls", Style.TOOL)]
    assert talk.system("turn.completed", **TURN) == [Over(Ending.COMPLETED)]


def test_a_tool_that_stays_nameless_is_shown_all_the_same(talk: Talk) -> None:
    assert talk.tool("turn.tool_call", title="bash", status="pending") == [Soon("1")]
    assert talk.conversation.handle(Later("1")) == [Write("● bash", Style.TOOL)]


def test_the_beginning_of_what_a_tool_gave_is_shown_below_its_name(talk: Talk) -> None:
    talk.tool("turn.tool_call", title="ls", status="pending")
    lines = "\n".join([f"file{number}" for number in range(6)] + ["x" * 300, ""])
    ended = {"sessionUpdate": "tool_call_update", "toolCallId": "1", "status": "completed"}
    talk.agent("session/update", {"update": {**ended, "rawOutput": {"output": lines}}})
    told = talk.tool("turn.tool_call_update", status="completed")
    assert told[:2] == [Write("● ls", Style.TOOL), Write("✓ ls", Style.TOOL)]
    assert [each.text for each in told[2:] if isinstance(each, Write)] == [
        *(f"  file{number}" for number in range(5)),
        "  … 2 more lines",
    ]


def test_no_tool_is_announced_on_the_line_of_an_open_question(talk: Talk) -> None:
    talk.tool("turn.tool_call", title="bash", status="pending")
    call = {**ACP_ASK["toolCall"], "toolCallId": "1"}
    told = talk.agent("session/request_permission", {**ACP_ASK, "toolCall": call})
    assert told[0] == Write("● rm -rf build", Style.TOOL)
    assert isinstance(told[1], Ask)
    other = {"title": "ls", "status": "in_progress"}
    assert talk.system("turn.tool_call", **TURN, tool_call_id="2", **other) == []


def test_other_turns_and_what_can_not_be_read_are_passed_over() -> None:
    talk = Talk()
    assert talk.system("turn.started", turn_id="trn_9", trigger_sequence=9) == []
    assert talk.agent("turn.message_chunk", {"content": "not ours"}) == []
    assert talk.agent("session/request_permission", ACP_ASK) == []
    assert talk.system("turn.completed", turn_id="trn_9") == []
    talk.start()
    assert talk.agent("turn.message_chunk", "{broken") == []
    assert talk.system("turn.failed", method="session/load", error="no such session") == []
    assert talk.system("something.new", **TURN) == []
    assert talk.system("turn.failed", **TURN, error="the agent exited") == [
        Write("the agent exited", Style.ERROR),
        Over(Ending.FAILED),
    ]


@pytest.mark.parametrize(
    ("kind", "question", "typed", "answer_type", "answer"),
    [
        ("session/request_permission", ACP_ASK, "y", "session/request_permission", acp("1")),
        ("session/request_permission", ACP_ASK, "a", "session/request_permission", acp("2")),
        ("session/request_permission", ACP_ASK, "No", "session/request_permission", acp("3")),
        (
            "control_request",
            CLAUDE_ASK,
            "y",
            "control_response",
            {
                "type": "control_response",
                "response": {
                    "subtype": "success",
                    "request_id": "r7",
                    "response": {"behavior": "allow", "updatedInput": {"command": "ls"}},
                },
            },
        ),
        (
            CODEX_ASK["method"],
            CODEX_ASK,
            "n",
            "response",
            {"id": 3, "result": {"decision": "decline"}},
        ),
        (
            "extension_ui_request",
            {"id": "d1", "method": "confirm", "title": "Run it?", "message": "ls"},
            "y",
            "extension_ui_response",
            {"type": "extension_ui_response", "id": "d1", "confirmed": True},
        ),
    ],
)
def test_a_question_is_asked_and_answered_in_the_agents_protocol(
    talk: Talk, kind: str, question: Any, typed: str, answer_type: str, answer: Any
) -> None:
    [asked] = talk.agent(kind, question)
    assert isinstance(asked, Ask)
    assert talk.type("perhaps") == [asked], "what is no answer is asked again"
    assert talk.type(f"{typed}\n") == [Hush(), Message(answer_type, answer)]
    assert talk.type("y") == [], "a second answer could hit the next question"


def test_a_question_that_somebody_else_answered_is_closed(talk: Talk) -> None:
    talk.agent("control_request", CLAUDE_ASK)
    other = {"type": "control_response", "response": {"request_id": "another"}}
    assert talk.hear(Origin.USER, "control_response", other) == []
    theirs = {"type": "control_response", "response": {"request_id": "r7"}}
    closed = talk.hear(Origin.USER, "control_response", theirs)
    assert isinstance(closed[0], Hush)
    assert talk.type("y") == []


@pytest.mark.parametrize(
    ("permission", "option"), [(Permission.ALLOW, "1"), (Permission.DENY, "3")]
)
def test_without_a_terminal_the_answer_is_decided_beforehand(
    permission: Permission, option: str
) -> None:
    talk = Talk(permission)
    talk.start()
    shown, answer = talk.agent("session/request_permission", ACP_ASK)
    assert isinstance(shown, Write)
    assert answer == Message("session/request_permission", acp(option))


@pytest.mark.parametrize(
    ("said", "payload", "cancel"),
    [
        ("session/update", {}, Message("session/cancel", {})),
        ("agent_start", {}, Message("cancel", {"id": "ranvier-cli-10", "type": "abort"})),
        (
            "assistant",
            {},
            Message(
                "control_request",
                {
                    "type": "control_request",
                    "request_id": "ranvier-cli-10",
                    "request": {"subtype": "interrupt"},
                },
            ),
        ),
        (
            "turn/started",
            {"method": "turn/started", "params": {"threadId": "t", "turn": {"id": "u"}}},
            Message(
                "turn/interrupt",
                {
                    "id": "ranvier-cli-10",
                    "method": "turn/interrupt",
                    "params": {"threadId": "t", "turnId": "u"},
                },
            ),
        ),
    ],
)
def test_ctrl_c_cancels_in_the_agents_protocol_and_a_second_one_leaves(
    talk: Talk, said: str, payload: Any, cancel: Message
) -> None:
    talk.agent(said, payload)
    assert talk.conversation.handle(Interrupted())[1:] == [cancel]
    assert talk.conversation.handle(Interrupted()) == [Over(Ending.LEFT)]


def test_a_cancel_waits_for_its_turn_lest_it_hits_another() -> None:
    talk = Talk()
    [note] = talk.conversation.handle(Interrupted())
    assert isinstance(note, Write)
    assert talk.start() == [Message("session/cancel", {})]
    [note, over] = talk.system("turn.cancelled", **TURN)
    assert over == Over(Ending.CANCELLED)


def test_waiting_is_explained_once_it_is_long(talk: Talk) -> None:
    assert talk.conversation.handle(Waited()) == []
    [note] = Talk().conversation.handle(Waited())
    assert isinstance(note, Write)
    assert "the devbox wakes" in note.text
