#!/usr/bin/env python3
"""Records what Claude Code really says in stream-json, with the scripted model behind it.

  python3 hack/model/record_claude.py "$(hack/agents command claude)" \\
    tests/golden/claude-code/trace.jsonl

It lives twice in one fresh home. First a prompt whose command needs permission, which is given; one
that is interrupted; one whose model refuses; then SIGKILL. The second process takes the session up
by `--resume` and is asked for its history. Each line of the trace is ``{"dir": "in" | "out",
"msg": …}``; a life begins with a line ``{"dir": "start", "msg": [arguments]}``. Long lists (tools,
commands, skills), of which no test takes anything, are emptied.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model import recording
from model.recording import Json, Process, Trace, without

FLAGS = [
    *("--print", "--input-format", "stream-json", "--output-format", "stream-json"),
    *("--verbose", "--include-partial-messages", "--permission-prompt-tool", "stdio"),
]
LISTS_CUT = {
    *("tools", "slash_commands", "terminal_slash_commands", "agents", "skills", "plugins"),
    *("mcp_servers", "commands", "models", "available_output_styles", "permission_suggestions"),
}
FIRST = "My word is PELICAN. [[bash echo hi > proof.txt]] [[text done]]"
INTERRUPTED = "Slowly. [[slow 100 100]]"
REFUSED = "No. [[http 400]]"
HISTORY = "What do you remember? [[history]]"


def claude_environment(home: Path, port: int) -> dict[str, str]:
    """All that Claude Code needs to talk to the scripted model and to nobody else."""
    return {
        "HOME": str(home),
        "PATH": os.environ["PATH"],
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
        "ANTHROPIC_API_KEY": "x",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_MAX_RETRIES": "2",
        "DISABLE_AUTOUPDATER": "1",
    }


class Claude(Process):
    """One life of Claude Code: what it asks is allowed."""

    def control(self, request_id: str, **request: Any) -> None:
        """Ask something at once, whatever it does."""
        self.send({"type": "control_request", "request_id": request_id, "request": request})

    def prompt(self, text: str, *, interrupt: bool = False) -> Json:
        """A turn from its prompt to its result; `interrupt` it at its first words."""
        message = {"role": "user", "content": text}
        self.send({"type": "user", "message": message, "parent_tool_use_id": None})
        for told in self.heard(text):
            if told["type"] == "control_request":
                self.allow(told)
            elif interrupt and told.get("event", {}).get("type") == "content_block_delta":
                self.control("req_stop", subtype="interrupt")
                interrupt = False
            elif told["type"] == "result":
                return told
        raise AssertionError("heard() ends by itself")

    def allow(self, question: Json) -> None:
        answer = {"behavior": "allow", "updatedInput": question["request"]["input"]}
        response = {"subtype": "success", "request_id": question["request_id"], "response": answer}
        self.send({"type": "control_response", "response": response})

    def greet(self) -> None:
        """`initialize`, and wait for its answer."""
        self.control("req_hello", subtype="initialize", hooks=None)
        next(told for told in self.heard("initialize") if told["type"] == "control_response")


def record(command: list[str], home: Path, port: int) -> Trace:
    """Both lives."""
    (home / "work").mkdir()
    trace: Trace = []
    env = claude_environment(home, port)
    session = None
    for prompts in ([FIRST, INTERRUPTED, REFUSED], [HISTORY]):
        arguments = [*FLAGS, *(["--resume", session] if session else [])]
        trace.append({"dir": "start", "msg": arguments})
        agent = Claude([*command, *arguments], home, env, trace)
        try:
            agent.greet()
            greeted = agent.seconds()
            for text in prompts:
                result = agent.prompt(text, interrupt=text == INTERRUPTED)
        finally:
            agent.close()
        session = result["session_id"]
        times = {"initialize_seconds": greeted, "prompted_seconds": agent.seconds()}
        print(json.dumps({"session": session, **times}), flush=True)
    proof = (home / "work" / "proof.txt").read_text()
    if proof != "hi\n":
        raise SystemExit(f"proof.txt holds {proof!r}")
    return trace


def main() -> None:
    recording.main(
        "Record Claude Code against the scripted model. Its command is without flags.",
        record,
        lambda trace: without(trace, LISTS_CUT),
    )


if __name__ == "__main__":
    main()
