"""A tiny ACP agent that does what the prompt says (`scripted_play`); for tests, without a model.

Sessions are kept under $HOME/.scripted, so that a new process can resume or load them. Flags take
capabilities away (`--no-resume`, `--no-load`), as real agents differ. Standard library only.
"""

import json
import os
import queue
import sys
import threading
from collections.abc import Callable
from typing import Any

from scripted_play import keep, play, store, taken_up, write_line

FLAGS = set(sys.argv[1:])

_answers: dict[str, "queue.Queue[Any]"] = {}
_cancelled: dict[str, threading.Event] = {}


def write(message: dict[str, Any]) -> None:
    write_line(json.dumps({"jsonrpc": "2.0", **message}))


class Session:
    """One session: its prompts, on disk."""

    live: dict[str, "Session"] = {}  # noqa: RUF012 (a script's registry)

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.prompts: list[str] = []
        Session.live[session_id] = self

    def save(self) -> None:
        keep(self.id, self.prompts)

    def update(self, kind: str, **members: Any) -> None:
        params = {"sessionId": self.id, "update": {"sessionUpdate": kind, **members}}
        write({"method": "session/update", "params": params})

    def say(self, text: str) -> None:
        self.update("agent_message_chunk", content={"type": "text", "text": text})

    def ask(self, title: str) -> Any:
        request_id = f"q-{len(_answers)}"
        _answers[request_id] = queue.Queue()
        call = {"toolCallId": f"call-{request_id}", "title": title, "kind": "execute"}
        options = [
            {"optionId": "yes", "kind": "allow_once", "name": "Yes"},
            {"optionId": "no", "kind": "reject_once", "name": "No"},
        ]
        params = {"sessionId": self.id, "toolCall": call, "options": options}
        write({"id": request_id, "method": "session/request_permission", "params": params})
        answer = _answers[request_id].get()
        is_withdrawn = answer.get("outcome", {}).get("outcome") == "cancelled"
        return None if is_withdrawn else answer

    def tool(self, title: str) -> None:
        call = f"call-{len(self.prompts)}"
        self.update("tool_call", toolCallId=call, title=title, status="pending")
        self.update("tool_call_update", toolCallId=call, status="completed")


def prompt(params: dict[str, Any]) -> dict[str, Any]:
    session = Session.live.get(params["sessionId"])
    if session is None:
        raise KeyError(f"session not found: {params['sessionId']}")
    text = "".join(block.get("text", "") for block in params["prompt"])
    session.prompts.append(text)
    session.save()
    usage = {"inputTokens": len(text), "outputTokens": 1, "totalTokens": len(text) + 1}
    cancelled = _cancelled.setdefault(session.id, threading.Event())
    return {"stopReason": play(session, text, cancelled), "usage": usage}


def initialize(params: dict[str, Any]) -> dict[str, Any]:
    offered: dict[str, Any] = {"loadSession": "--no-load" not in FLAGS, "sessionCapabilities": {}}
    if "--no-resume" not in FLAGS:
        offered["sessionCapabilities"]["resume"] = {}
    return {"protocolVersion": 1, "agentCapabilities": offered, "authMethods": []}


def new_session(params: dict[str, Any]) -> dict[str, Any]:
    session = Session(f"ses_{os.urandom(6).hex()}")
    session.save()
    return {"sessionId": session.id}


def restore(params: dict[str, Any], *, replay: bool) -> dict[str, Any]:
    path = store(params["sessionId"])
    if not path.exists():
        raise KeyError(f"session not found: {params['sessionId']}")
    taken_up(params["sessionId"])
    session = Session(params["sessionId"])
    session.prompts = json.loads(path.read_text())
    if replay:
        for text in session.prompts:
            session.update("user_message_chunk", content={"type": "text", "text": text})
    return {}


METHODS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "initialize": initialize,
    "session/new": new_session,
    "session/resume": lambda params: restore(params, replay=False),
    "session/load": lambda params: restore(params, replay=True),
    "session/set_mode": lambda params: {},
    "session/prompt": prompt,
}


def serve(message: dict[str, Any]) -> None:
    method = METHODS.get(message["method"])
    try:
        if method is None:
            raise LookupError(f"Method not found: {message['method']}")
        write({"id": message["id"], "result": method(message["params"])})
    except (KeyError, ValueError, LookupError) as error:
        write({"id": message["id"], "error": {"code": -32602, "message": str(error.args[0])}})


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            _answers[message["id"]].put(message.get("result", message.get("error")))
        elif message["method"] == "session/cancel":
            _cancelled.setdefault(message["params"]["sessionId"], threading.Event()).set()
        elif message["method"] == "session/prompt":
            _cancelled.setdefault(message["params"]["sessionId"], threading.Event()).clear()
            threading.Thread(target=serve, args=(message,), daemon=True).start()
        elif "id" in message:
            serve(message)


if __name__ == "__main__":
    main()
