"""A tiny Pi in RPC mode that does what the prompt says (`scripted_play`); for tests, no model.

As the real one it answers commands by their ids, refuses a prompt while a run goes on, settles at
the end of each run, asks by dialogs of an extension, loses an abort that comes before the run, and
goes on with a session by `switch_session`, whatever the path. Sessions are kept under
$HOME/.scripted. Standard library only.
"""

import json
import queue
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

from scripted_play import keep, play, store, taken_up, write_line

_answers: dict[str, "queue.Queue[Any]"] = {}
_cancelled = threading.Event()
_is_busy = threading.Event()

USAGE = {"input": 100, "output": 10, "totalTokens": 110, "cost": {"total": 0.5}}


def write(kind: str, **members: Any) -> None:
    write_line(json.dumps({"type": kind, **members}))


class Session:
    """The session of this process at the moment."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path or store(f"ses_{uuid.uuid4().hex[:12]}")
        is_known = self.path.exists()
        self.prompts: list[str] = json.loads(self.path.read_text()) if is_known else []

    def say(self, text: str) -> None:
        self._update(type="text_start", contentIndex=0)
        self._update(type="text_delta", contentIndex=0, delta=text)
        self._message([{"type": "text", "text": text}], "stop")

    def tool(self, title: str) -> None:
        self._executed(self._called(title), title, is_error=False)

    def ask(self, title: str) -> Any:
        call, request = self._called(title), str(uuid.uuid4())
        _answers[request] = queue.Queue()
        write("extension_ui_request", id=request, method="confirm", title="Run it?", message=title)
        answer = _answers[request].get()
        del _answers[request]
        is_allowed = answer.get("confirmed") is True
        self._executed(call, title, is_error=not is_allowed)
        return None if answer.get("cancelled") else answer

    def run(self, text: str) -> None:
        """One run, from its prompt until it has settled."""
        write("agent_start")
        self.prompts.append(text)
        keep(self.path.stem, self.prompts)
        reason, error = "stop", ""
        try:
            if play(self, text, _cancelled) == "cancelled":
                reason = "aborted"
        except ValueError as failure:
            reason, error = "error", str(failure)
        self._message([], reason, **({"errorMessage": error} if error else {}))
        write("agent_end", messages=[], willRetry=False)
        _is_busy.clear()
        write("agent_settled", aborted=reason == "aborted")

    def _called(self, title: str) -> str:
        call = f"call_{uuid.uuid4().hex[:12]}"
        self._update(type="toolcall_start", contentIndex=0, id=call, toolName=title)
        write("tool_execution_start", toolCallId=call, toolName=title, args={})
        return call

    def _executed(self, call: str, title: str, *, is_error: bool) -> None:
        result = {"content": [{"type": "text", "text": "done"}]}
        about = {"toolCallId": call, "toolName": title, "isError": is_error}
        write("tool_execution_end", **about, result=result)

    def _update(self, **event: Any) -> None:
        write("message_update", usage=USAGE, assistantMessageEvent=event)

    def _message(self, content: list[Any], reason: str, **more: Any) -> None:
        about = {"role": "assistant", "content": content, "usage": USAGE, "stopReason": reason}
        write("message_end", message={**about, **more})


_session = Session()


class Refused(Exception):
    """A command that is answered by an error."""


def prompt(command: dict[str, Any]) -> dict[str, Any]:
    if _is_busy.is_set():
        raise Refused("Agent is already processing.")
    _cancelled.clear()
    _is_busy.set()
    return {"disposition": "started"}


def abort(_: dict[str, Any]) -> None:
    if _is_busy.is_set():
        _cancelled.set()


def state(_: dict[str, Any]) -> dict[str, Any]:
    count = 2 * len(_session.prompts)
    return {"sessionFile": str(_session.path), "messageCount": count, "isStreaming": False}


def switch(command: dict[str, Any]) -> dict[str, Any]:
    global _session
    taken_up(command["sessionPath"])
    _session = Session(Path(command["sessionPath"]))
    return {"cancelled": False}


def new(_: dict[str, Any]) -> dict[str, Any]:
    global _session
    _session = Session()
    return {"cancelled": False}


COMMANDS = {
    "prompt": prompt,
    "abort": abort,
    "get_state": state,
    "switch_session": switch,
    "new_session": new,
}


def hear(command: dict[str, Any]) -> None:
    kind, about = command.get("type"), {}
    if "id" in command:
        about = {"id": command["id"]}
    if kind == "extension_ui_response":
        if command.get("id") in _answers:
            _answers[command["id"]].put(command)
        return
    if kind not in COMMANDS:
        error = f"Unknown command: {kind}"
        write("response", **about, command=kind, success=False, error=error)
        return
    try:
        data = COMMANDS[kind](command)
    except Refused as refused:
        write("response", **about, command=kind, success=False, error=str(refused))
        return
    told = {"data": data} if data is not None else {}
    write("response", **about, command=kind, success=True, **told)
    if kind == "prompt":
        threading.Thread(target=_session.run, args=(command["message"],), daemon=True).start()


def main() -> None:
    if "--mode" not in sys.argv or "rpc" not in sys.argv:
        sys.exit("this is no terminal")
    for line in sys.stdin:
        try:
            command = json.loads(line)
        except ValueError as error:
            write("response", command="parse", success=False, error=str(error))
            continue
        hear(command)


if __name__ == "__main__":
    main()
