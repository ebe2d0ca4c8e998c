#!/usr/bin/env python3
"""Records what a real ACP agent says, with the scripted model behind it.

  python3 hack/model/record_acp.py "$(hack/agents command opencode)" \\
    tests/golden/acp-opencode/trace.jsonl

The agent lives three times in one fresh home: a new session writes a file (asking for permission),
after SIGKILL the session is resumed, after another SIGKILL it is loaded; each time it is asked
for its history. Each line of the trace is ``{"dir": "in" | "out", "msg": …}``: "in" is what went
into the agent, "out" what it said. A life begins with each `initialize`. How long each step took is
printed, one JSON line a life. How an agent finds its model is its own affair: `--settings` chooses.
"""

import argparse
import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model.record_claude import claude_environment
from model.recording import Json, Process, Trace, scripted_model, without, written

CLIENT: Json = {
    "protocolVersion": 1,
    "clientCapabilities": {
        "fs": {"readTextFile": False, "writeTextFile": False},
        "terminal": False,
    },
    "clientInfo": {"name": "ranvier-recorder", "version": "0"},
}
FIRST_PROMPT = "My word is PELICAN. [[write proof.txt :: hi]] [[text done]]"
LISTS_CUT = ("availableCommands",)
"""Long, and of no interest to any test."""
HISTORY = "What do you remember? [[history]]"


class Agent(Process):
    """One life of an ACP agent: requests go in, what it asks meanwhile is granted."""

    _asked = 0

    def request(self, method: str, params: Json) -> Json:
        """Ask the agent and wait for its answer."""
        self._asked += 1
        self.send({"jsonrpc": "2.0", "id": self._asked, "method": method, "params": params})
        for message in self.heard(method):
            if "method" in message and "id" in message:
                self.send(granted(message))
            elif message.get("id") == self._asked:
                if "error" in message:
                    raise SystemExit(f"{method} was refused: {message['error']}")
                return cast(Json, message["result"])
        raise AssertionError("heard() ends by itself")


def granted(request: Json) -> Json:
    """The answer to what the agent asks of its client: permission yes, anything else unknown."""
    head = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] != "session/request_permission":
        return head | {"error": {"code": -32601, "message": "Method not found"}}
    options = request["params"]["options"]
    once = next(option for option in options if option["kind"] == "allow_once")
    outcome = {"outcome": "selected", "optionId": once["optionId"]}
    return head | {"result": {"outcome": outcome}}


def opencode_environment(home: Path, port: int) -> dict[str, str]:
    """All that opencode needs: its configuration comes by environment, nothing lies in its home."""
    settings = opencode_settings(f"http://127.0.0.1:{port}/v1", asks=True)
    return {"HOME": str(home), "PATH": os.environ["PATH"], **settings}


def opencode_settings(model_url: str, *, asks: bool) -> dict[str, str]:
    """What it needs wherever it runs, to talk to the scripted model and to nobody else. `asks`:
    whether it asks before it runs commands and changes files."""
    config: Json = {
        "autoupdate": False,
        "share": "disabled",
        "model": "scripted/scripted-1",
        "small_model": "scripted/scripted-1",
        "enabled_providers": ["scripted"],
        "provider": {
            "scripted": {
                "npm": "@ai-sdk/openai-compatible",
                "name": "Scripted",
                "options": {"baseURL": model_url, "apiKey": "x"},
                "models": {
                    "scripted-1": {
                        "name": "Scripted One",
                        "tool_call": True,
                        "limit": {"context": 100000, "output": 8000},
                    }
                },
            }
        },
    }
    if asks:
        config["permission"] = {"bash": "ask", "edit": "ask"}
    return {
        "OPENCODE_CONFIG_CONTENT": json.dumps(config),
        "OPENCODE_DISABLE_AUTOUPDATE": "1",
        "OPENCODE_DISABLE_MODELS_FETCH": "1",
        "OPENCODE_DISABLE_LSP_DOWNLOAD": "1",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS": "1",
        # A package for plugins, which it fetches into each new home: 99 MB, and seconds of a core.
        "NPM_CONFIG_REGISTRY": "http://127.0.0.1:9/",
    }


def live(agent: Agent, opening: str, session: str | None, prompts: list[str], work: Path) -> Json:
    """One life: initialize, open a session, prompt. Gives the session and the times."""
    agent.request("initialize", CLIENT)
    initialized = agent.seconds()
    params: Json = {"cwd": str(work), "mcpServers": []}
    opened = agent.request(opening, params | ({"sessionId": session} if session else {}))
    ready = agent.seconds()
    session = session or cast(str, opened["sessionId"])
    for text in prompts:
        prompt = [{"type": "text", "text": text}]
        agent.request("session/prompt", {"sessionId": session, "prompt": prompt})
    return {
        "opening": opening,
        "session": session,
        "initialize_seconds": initialized,
        "ready_seconds": ready,
        "prompted_seconds": agent.seconds(),
    }


SETTINGS = {"opencode": opencode_environment, "claude": claude_environment}


def record(command: list[str], home: Path, env: dict[str, str]) -> Trace:
    """All three lives."""
    work = home / "work"
    work.mkdir()
    trace: Trace = []
    session = None
    plan = [
        ("session/new", [FIRST_PROMPT]),
        ("session/resume", [HISTORY]),
        ("session/load", [HISTORY]),
    ]
    for opening, prompts in plan:
        agent = Agent(command, home, env, trace)
        try:
            times = live(agent, opening, session, prompts, work)
        finally:
            agent.close()
        session = times["session"]
        print(json.dumps(times), flush=True)
    proof = (work / "proof.txt").read_text()
    if proof != "hi":
        raise SystemExit(f"proof.txt holds {proof!r}")
    return trace


def main() -> None:
    parser = argparse.ArgumentParser(description="Record an ACP agent against the scripted model.")
    parser.add_argument("command", help="how the agent is started, in one string")
    parser.add_argument("output", type=Path, help="the trace is written here")
    parser.add_argument("--settings", choices=SETTINGS, default="opencode")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, scripted_model() as port:
        home = Path(folder).resolve()
        env = SETTINGS[options.settings](home, port)
        trace = record(shlex.split(options.command), home, env)
        options.output.write_text(written(without(trace, LISTS_CUT), home))


if __name__ == "__main__":
    main()
