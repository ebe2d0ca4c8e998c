#!/usr/bin/env python3
"""Records what Pi really says in RPC mode, with the scripted model behind it.

  python3 hack/model/record_pi.py "$(hack/agents command pi)" tests/golden/pi/trace.jsonl

It lives twice in one fresh home. First a prompt whose command an extension asks about, which is
allowed; one that is aborted; one whose model refuses; then SIGKILL. The second process goes on with
the session by `switch_session` and is asked for its history. Each line of the trace is ``{"dir":
"in" | "out", "msg": …}``; a life begins with a line ``{"dir": "start", "msg": [arguments]}``. The
system prompt, of which no test takes anything, is cut.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model import recording
from model.recording import Json, Process, Trace

FLAGS = ["--mode", "rpc"]
FIRST = "My word is PELICAN. [[bash touch asked.txt]] [[text done]]"
ABORTED = "Slowly. [[slow 100 100]]"
REFUSED = "No. [[http 400]]"
HISTORY = "What do you remember? [[history]]"

PERMISSION = """export default function (pi) {
  pi.on("tool_call", async (event, ctx) => {
    const command = event.toolName === "bash" ? event.input.command : "";
    if (!command.startsWith("touch ")) return undefined;
    const isAllowed = await ctx.ui.confirm("Run it?", command);
    return isAllowed ? undefined : { block: true, reason: "The user said no." };
  });
}
"""
"""An extension that asks a person: Pi itself runs its tools unasked."""


def pi_environment(home: Path, port: int) -> dict[str, str]:
    """All that Pi needs to talk to the scripted model and to nobody else. Its settings are files of
    the home, and are written there."""
    folder = home / ".pi" / "agent"
    (folder / "extensions").mkdir(parents=True, exist_ok=True)
    models = {
        "scripted": {
            "baseUrl": f"http://127.0.0.1:{port}/v1",
            "api": "openai-completions",
            "apiKey": "$MODEL_KEY",
            "models": [{"id": "scripted-1"}],
        }
    }
    (folder / "models.json").write_text(json.dumps({"providers": models}))
    chosen = {"defaultProvider": "scripted", "defaultModel": "scripted-1"}
    (folder / "settings.json").write_text(json.dumps(chosen))
    (folder / "extensions" / "permission.js").write_text(PERMISSION)
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "MODEL_KEY": "x",
        "PI_OFFLINE": "1",
        "PI_SKIP_VERSION_CHECK": "1",
        "PI_TELEMETRY": "0",
    }


class Pi(Process):
    """One life of Pi: what its extension asks is allowed."""

    def command(self, request_id: str, kind: str, **members: Any) -> Json:
        """A command that is answered at once; return its response."""
        self.send({"id": request_id, "type": kind, **members})
        return next(told for told in self.heard(kind) if told.get("id") == request_id)

    def prompt(self, text: str, *, abort: bool = False) -> None:
        """A turn from its prompt until the agent has settled; `abort` it at its first words."""
        self.send({"id": "req_prompt", "type": "prompt", "message": text})
        for told in self.heard(text):
            kind = told.get("assistantMessageEvent", {}).get("type")
            if told["type"] == "extension_ui_request":
                answer = {"type": "extension_ui_response", "id": told["id"], "confirmed": True}
                self.send(answer)
            elif abort and kind == "text_delta":
                self.send({"id": "req_stop", "type": "abort"})
                abort = False
            elif told["type"] == "agent_settled":
                return


def record(command: list[str], home: Path, port: int) -> Trace:
    """Both lives."""
    (home / "work").mkdir()
    trace: Trace = []
    env = pi_environment(home, port)
    session = None
    for prompts in ([FIRST, ABORTED, REFUSED], [HISTORY]):
        trace.append({"dir": "start", "msg": FLAGS})
        agent = Pi([*command, *FLAGS], home, env, trace)
        try:
            if session is not None:
                agent.command("req_switch", "switch_session", sessionPath=session)
            state = agent.command("req_state", "get_state")["data"]
            greeted = agent.seconds()
            for text in prompts:
                agent.prompt(text, abort=text == ABORTED)
        finally:
            agent.close()
        session = state["sessionFile"]
        print(json.dumps({"state_seconds": greeted, "prompted_seconds": agent.seconds()}))
    if not (home / "work" / "asked.txt").exists():
        raise SystemExit("asked.txt is not there")
    return trace


def without_system_prompt(value: Any) -> Any:
    """The same with the sections of the system prompt, and the tools that it names, emptied."""
    if isinstance(value, list):
        return [without_system_prompt(item) for item in value]
    if not isinstance(value, dict):
        return value
    is_prompt = value.get("role") == "system"
    return {
        name: type(member)()
        if is_prompt and isinstance(member, dict | list)
        else without_system_prompt(member)
        for name, member in value.items()
    }


def main() -> None:
    recording.main(
        "Record Pi against the scripted model. Its command is without flags.",
        record,
        without_system_prompt,
    )


if __name__ == "__main__":
    main()
