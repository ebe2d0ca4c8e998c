#!/usr/bin/env python3
"""Records what the real Codex says, with the scripted model behind it.

  python3 hack/model/record_codex.py "$(hack/agents command codex)" \\
    tests/golden/codex-app-server/trace.jsonl

As `record_acp`, in Codex's words: the agent lives three times in one home. A new thread runs a
command (asking for approval); after SIGKILL the thread is resumed; after another SIGKILL again, and
a turn of it is interrupted. Each time it is asked for its history.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from model import recording
from model.record_acp import HISTORY
from model.recording import Json, Process, Trace

CLIENT: Json = {"clientInfo": {"name": "ranvier-recorder", "version": "0"}}
FIRST_PROMPT = "My word is PELICAN. [[ask printf hi > proof.txt]] [[text done]]"
SLOW = "Take your time. [[slow 200 100]]"
APPROVALS = ("item/commandExecution/requestApproval", "item/fileChange/requestApproval")


def codex_environment(home: Path, port: int) -> dict[str, str]:
    """What Codex needs, without the key of anybody: its configuration goes into its home."""
    folder = home / ".codex"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(
        f"""
model = "scripted-1"
model_provider = "scripted"
approval_policy = "on-request"
sandbox_mode = "workspace-write"
check_for_update_on_startup = false

[model_providers.scripted]
name = "Scripted"
base_url = "http://127.0.0.1:{port}/v1"
wire_api = "responses"
env_key = "SCRIPTED_KEY"
request_max_retries = 1
stream_max_retries = 1

[analytics]
enabled = false

[features]
plugins = false
apps = false
remote_plugin = false
"""
    )
    return {"HOME": str(home), "PATH": os.environ["PATH"], "SCRIPTED_KEY": "x"}


class Codex(Process):
    """One life of Codex: requests go in, what it asks meanwhile is approved."""

    _asked = 0

    def request(self, method: str, params: Json) -> Json:
        """Ask and wait for the answer."""
        self._asked += 1
        number = self._asked
        self.send({"id": number, "method": method, "params": params})
        answer = self.until(lambda m: "method" not in m and m.get("id") == number, method)
        if "error" in answer:
            raise SystemExit(f"{method} was refused: {answer['error']}")
        return cast(Json, answer["result"])

    def until(self, is_last: Callable[[Json], bool], during: str) -> Json:
        """Listen up to a message."""
        for message in self.heard(during):
            if "method" in message and "id" in message:
                self.send(granted(message))
            elif is_last(message):
                return message
        raise AssertionError("heard() ends by itself")

    def turn(self, thread: str, text: str, *, interrupt: bool = False) -> None:
        """One turn to its end, or interrupted at its first words."""
        params = {"threadId": thread, "input": [{"type": "text", "text": text}]}
        turn = self.request("turn/start", params)["turn"]["id"]
        if interrupt:
            self.until(_is("item/agentMessage/delta"), "turn/start")
            self.request("turn/interrupt", {"threadId": thread, "turnId": turn})
        self.until(_is("turn/completed"), "turn/start")


def granted(request: Json) -> Json:
    """The answer to what the agent asks of its client: approvals yes, anything else unknown."""
    if request["method"] in APPROVALS:
        return {"id": request["id"], "result": {"decision": "accept"}}
    return {"id": request["id"], "error": {"code": -32601, "message": "Method not found"}}


def _is(method: str) -> Callable[[Json], bool]:
    return lambda message: message.get("method") == method


def live(agent: Codex, thread: str | None, prompts: list[str], work: Path) -> Json:
    """One life: initialize, open a thread, prompt. Gives the thread and the times."""
    agent.request("initialize", CLIENT)
    agent.send({"method": "initialized"})
    initialized = agent.seconds()
    if thread is None:
        opened = agent.request("thread/start", {"cwd": str(work)})
    else:
        opened = agent.request("thread/resume", {"threadId": thread, "excludeTurns": True})
    thread = cast(str, opened["thread"]["id"])
    ready = agent.seconds()
    for text in prompts:
        agent.turn(thread, text, interrupt=text == SLOW)
    times = {"initialize_seconds": initialized, "ready_seconds": ready}
    return {"thread": thread, **times, "prompted_seconds": agent.seconds()}


def record(command: list[str], home: Path, port: int) -> Trace:
    """All three lives."""
    work = home / "work"
    work.mkdir()
    env = codex_environment(home, port)
    trace: Trace = []
    thread = None
    for prompts in ([FIRST_PROMPT], [HISTORY], [SLOW, HISTORY]):
        agent = Codex(command, home, env, trace)
        try:
            times = live(agent, thread, prompts, work)
        finally:
            agent.close()
        thread = times["thread"]
        print(json.dumps(times), flush=True)
    proof = (work / "proof.txt").read_text()
    if proof != "hi":
        raise SystemExit(f"proof.txt holds {proof!r}")
    return trace


def main() -> None:
    recording.main("Record Codex against the scripted model.", record)


if __name__ == "__main__":
    main()
