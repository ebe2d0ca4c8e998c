"""A directive becomes a call of the tool that the agent at hand offers for it."""

from typing import Any

import pytest
from scripted import tools
from scripted.conversation import Json, Tool, ToolCall


def schema(*required: str, **kinds: str) -> Json:
    """A schema of properties by their type; those named are required."""
    return {
        "properties": {name: {"type": kind} for name, kind in kinds.items()},
        "required": list(required),
    }


def test_opencode_is_given_its_own_argument_names() -> None:
    offered = {
        "bash": Tool(schema("command", command="string", description="string")),
        "write": Tool(schema("filePath", "content", filePath="string", content="string")),
        "read": Tool(schema("filePath", filePath="string", limit="number")),
    }
    ran = ToolCall("bash", {"command": "ls", "description": "scripted command"})
    assert tools.run("ls", offered) == ran
    wrote = ToolCall("write", {"filePath": "a.txt", "content": "hi"})
    assert tools.write("a.txt", "hi", offered) == wrote
    assert tools.read("a.txt", offered) == ToolCall("read", {"filePath": "a.txt"})


def test_a_shell_that_takes_a_list_is_given_one() -> None:
    offered = {"shell": Tool(schema("command", command="array"))}
    assert tools.run("ls", offered) == ToolCall("shell", {"command": ["bash", "-lc", "ls"]})


def test_escalation_is_asked_for_where_the_tool_has_it() -> None:
    plain = {"bash": Tool(schema(command="string"))}
    sandboxed = {"bash": Tool(schema(command="string", sandbox_permissions="string"))}
    assert tools.run("ls", plain, escalate=True) == ToolCall("bash", {"command": "ls"})
    assert tools.run("ls", sandboxed, escalate=True) == ToolCall(
        "bash", {"command": "ls", "sandbox_permissions": "require_escalated"}
    )


def test_a_free_form_tool_is_given_a_script() -> None:
    call = tools.run('echo "hi"', {"exec": Tool(is_freeform=True)})
    assert call is not None
    assert call.arguments == (
        r'const r = await tools.exec_command({cmd: "echo \"hi\""}); text(r.output);'
    )


def test_files_go_through_the_shell_where_there_is_no_tool_for_them() -> None:
    offered = {"shell": Tool(schema(command="string"))}
    wrote = ToolCall("shell", {"command": "printf %s 'it'\"'\"'s' > a.txt"})
    assert tools.write("a.txt", "it's", offered) == wrote
    assert tools.read("my file", offered) == ToolCall("shell", {"command": "cat 'my file'"})


def test_without_any_tool_there_is_no_call() -> None:
    assert tools.run("ls", {"web_search": Tool()}) is None
    assert tools.write("a", "b", {"web_search": Tool()}) is None
    assert tools.read("a", {"web_search": Tool()}) is None


def test_required_arguments_we_do_not_know_get_a_placeholder() -> None:
    asked = schema("command", "seconds", "tags", command="string", seconds="integer", tags="array")
    assert tools.filled(asked, {"command": "ls", "cmd": "ls"}) == {
        "command": "ls",
        "seconds": 1,
        "tags": [],
    }


@pytest.mark.parametrize(
    ("asked", "smallest"),
    [
        ({"enum": ["red", "green"]}, "red"),
        ({"type": "boolean"}, False),
        ({"type": ["integer", "null"]}, 1),
        (
            {"properties": {"a": {"type": "string"}, "b": {"type": "array"}}},
            {"a": "scripted", "b": []},
        ),
        ({"type": "OBJECT", "properties": {"n": {"type": "NUMBER"}}}, {"n": 1}),
        ({}, "scripted"),
        ({"type": "null"}, None),
    ],
)
def test_the_smallest_value_fits_its_schema(asked: Json, smallest: Any) -> None:
    assert tools.smallest(asked) == smallest
