"""Turns a directive into a call of whatever tool this agent happens to offer for it.

Agents name their tools and arguments differently, so we look for a known name among those offered
and fill the arguments after the tool's own schema. An agent without a tool for files gets a shell
command that does the same.
"""

import json
import shlex
from collections.abc import Mapping
from typing import Any

from scripted.conversation import Json, Tool, ToolCall

# Names seen in real agents, the best match first.
SHELL = (
    "bash",
    "Bash",
    "shell_command",
    "exec_command",
    "shell",
    "run_shell_command",
    "local_shell",
    "container.exec",
    "execute",
    "terminal",
    "exec",
)
WRITE = ("write", "Write", "write_file", "edit_file", "create_file")
READ = ("read", "Read", "read_file")

PATH_NAMES = ("filePath", "file_path", "path", "absolute_path")
TEXT_NAMES = ("content", "contents")

PLACEHOLDERS: Json = {
    "string": "scripted",
    "number": 1,
    "integer": 1,
    "boolean": False,
    "array": [],
}


def run(command: str, tools: Mapping[str, Tool], *, escalate: bool = False) -> ToolCall | None:
    """A call of the shell tool, or None where there is none."""
    name = _offered(SHELL, tools)
    if name is None:
        return None
    tool = tools[name]
    if tool.is_freeform:  # codex in code mode: the input is JavaScript
        quoted = json.dumps(command)
        script = f"const r = await tools.exec_command({{cmd: {quoted}}}); text(r.output);"
        return ToolCall(name, script)
    properties = tool.parameters.get("properties", {})
    takes_argv = properties.get("command", {}).get("type") == "array"
    known: Json = {
        "command": ["bash", "-lc", command] if takes_argv else command,
        "cmd": command,
        "description": "scripted command",
    }
    if escalate and "sandbox_permissions" in properties:
        known |= {"sandbox_permissions": "require_escalated", "justification": "scripted"}
    return ToolCall(name, filled(tool.parameters, known))


def write(path: str, text: str, tools: Mapping[str, Tool]) -> ToolCall | None:
    """A call of the write-file tool, else of the shell."""
    name = _offered(WRITE, tools)
    if name is None:
        return run(f"printf %s {shlex.quote(text)} > {shlex.quote(path)}", tools)
    known = dict.fromkeys(PATH_NAMES, path) | dict.fromkeys(TEXT_NAMES, text)
    return ToolCall(name, filled(tools[name].parameters, known))


def read(path: str, tools: Mapping[str, Tool]) -> ToolCall | None:
    """A call of the read-file tool, else of the shell."""
    name = _offered(READ, tools)
    if name is None:
        return run(f"cat {shlex.quote(path)}", tools)
    return ToolCall(name, filled(tools[name].parameters, dict.fromkeys(PATH_NAMES, path)))


def filled(schema: Json, known: Json) -> Json:
    """Arguments that satisfy a schema: ours where the name is known, else a placeholder."""
    properties = schema.get("properties", {})
    arguments = {
        name: value for name, value in known.items() if name in properties or not properties
    }
    for name in schema.get("required", []):
        if name not in arguments:
            arguments[name] = smallest(properties.get(name, {}))
    return arguments


def smallest(schema: Json) -> Any:
    """A small value that a JSON schema admits, for requests that demand structured output."""
    if schema.get("enum"):
        return schema["enum"][0]
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    kind = str(kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        return {name: smallest(value) for name, value in schema.get("properties", {}).items()}
    return PLACEHOLDERS.get(kind)


def _offered(names: tuple[str, ...], tools: Mapping[str, Tool]) -> str | None:
    return next((name for name in names if name in tools), None)
