"""Errors, the list of models and the log."""

import pytest
from scripted import answers
from scripted.conversation import Cut, Hang, Refuse, Reply, Request, Say, Tool, ToolCall


def test_an_error_reads_alike_for_every_client() -> None:
    kind = "rate_limit_error"
    assert answers.error(429) == {
        "type": "error",
        "error": {"type": kind, "message": "scripted rate_limit_error", "code": kind},
    }
    assert answers.error(503)["error"]["type"] == "api_error"
    assert answers.error(404, "no /x")["error"]["message"] == "no /x"


def test_the_one_model_is_listed() -> None:
    assert [model["id"] for model in answers.models()["data"]] == ["scripted-1"]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Say(("hi",)), "text"),
        (Say(tool=ToolCall("bash", {})), "tool"),
        (Refuse(500), "http"),
        (Cut(Say(), is_garbled=False), "drop"),
        (Cut(Say(), is_garbled=True), "badsse"),
        (Hang(1), "hang"),
    ],
)
def test_each_reply_has_its_word_in_the_log(reply: Reply, kind: str) -> None:
    assert answers.kind(reply) == kind


def test_the_log_tells_which_step_was_played() -> None:
    tools = {"write": Tool(), "bash": Tool()}
    request = Request(("old", "x" * 1000), 2, tools, "m", is_streamed=True)
    assert answers.logged(request, Say(tool=ToolCall("bash", {}))) == {
        "model": "m",
        "stream": True,
        "prompts": 2,
        "calls": 2,
        "last": "x" * 160,
        "tools": ["bash", "write"],
        "kind": "tool",
        "tool": "bash",
    }
