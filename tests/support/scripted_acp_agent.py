"""A tiny ACP agent that does what the prompt says; for tests, without a model.

The script is in the prompt: `[[say Hello.]] [[ask Run it?]] [[exit 3]]` are played in order (see
VERBS). Sessions are kept under $HOME/.scripted, so that a new process can resume or load them.
Flags take capabilities away (`--no-resume`, `--no-load`), as real agents differ. Standard library
only.
"""

import json
import os
import queue
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

DIRECTIVE = re.compile(r"\[\[(\w+) ?(.*?)\]\]", re.DOTALL)
FLAGS = set(sys.argv[1:])

_write_lock = threading.Lock()
_answers: dict[str, "queue.Queue[Any]"] = {}
_cancelled: dict[str, threading.Event] = {}


def write(message: dict[str, Any]) -> None:
    with _write_lock:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        sys.stdout.flush()


def store(session_id: str) -> Path:
    folder = Path(os.environ["HOME"]) / ".scripted"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{session_id}.json"


class Session:
    """One session: its prompts, on disk."""

    live: dict[str, "Session"] = {}  # noqa: RUF012 (a script's registry)

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.prompts: list[str] = []
        Session.live[session_id] = self

    def save(self) -> None:
        store(self.id).write_text(json.dumps(self.prompts))

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
        return _answers[request_id].get()


Cancelled = threading.Event


def say(session: Session, rest: str, _: Cancelled) -> str | None:
    session.say(rest)
    return None


def slow(session: Session, rest: str, cancelled: Cancelled) -> str | None:
    """[[slow MS N]]: N words, a pause after each."""
    pause_ms, count = map(int, rest.split())
    for number in range(count):
        session.say(f"tick{number} ")
        if cancelled.wait(pause_ms / 1000):
            return "cancelled"
    return None


def ask(session: Session, rest: str, _: Cancelled) -> str | None:
    answer = session.ask(rest)
    session.say(f"answer={json.dumps(answer)}")
    return "cancelled" if answer.get("outcome", {}).get("outcome") == "cancelled" else None


def tool(session: Session, rest: str, _: Cancelled) -> str | None:
    call = f"call-{len(session.prompts)}"
    session.update("tool_call", toolCallId=call, title=rest, status="pending")
    session.update("tool_call_update", toolCallId=call, status="completed")
    return None


def history(session: Session, _: str, __: Cancelled) -> str | None:
    session.say(f"HISTORY {len(session.prompts)} {session.prompts[0]}")
    return None


def big(session: Session, rest: str, _: Cancelled) -> str | None:
    session.say("x" * int(rest))
    return None


def hang(_: Session, rest: str, cancelled: Cancelled) -> str | None:
    """[[hang REASON]]: says nothing until cancelled, then ends with the reason."""
    return (rest or "cancelled") if cancelled.wait(3600) else None


def deaf(_: Session, __: str, ___: Cancelled) -> str | None:
    time.sleep(3600)
    return None


def garbage(_: Session, __: str, ___: Cancelled) -> str | None:
    with _write_lock:
        sys.stdout.write("this is no JSON\n")
        sys.stdout.flush()
    return None


def stderr(_: Session, rest: str, __: Cancelled) -> str | None:
    print(rest, file=sys.stderr, flush=True)
    return None


def leave(_: Session, rest: str, __: Cancelled) -> str | None:
    os._exit(int(rest))


def fail(_: Session, rest: str, __: Cancelled) -> str | None:
    raise ValueError(rest)


VERBS: dict[str, Callable[[Session, str, Cancelled], str | None]] = {
    "say": say,
    "slow": slow,
    "ask": ask,
    "tool": tool,
    "history": history,
    "big": big,
    "hang": hang,
    "deaf": deaf,
    "garbage": garbage,
    "stderr": stderr,
    "exit": leave,
    "fail": fail,
}


def play(session: Session, text: str) -> str:
    """Play the prompt's directives; return the stop reason."""
    cancelled = _cancelled.setdefault(session.id, threading.Event())
    cancelled.clear()
    for verb, rest in DIRECTIVE.findall(text):
        if cancelled.is_set():
            return "cancelled"
        if stop_reason := VERBS[verb](session, rest, cancelled):
            return stop_reason
    return "end_turn"


def prompt(params: dict[str, Any]) -> dict[str, Any]:
    session = Session.live.get(params["sessionId"])
    if session is None:
        raise KeyError(f"session not found: {params['sessionId']}")
    text = "".join(block.get("text", "") for block in params["prompt"])
    session.prompts.append(text)
    session.save()
    usage = {"inputTokens": len(text), "outputTokens": 1, "totalTokens": len(text) + 1}
    return {"stopReason": play(session, text), "usage": usage}


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
            threading.Thread(target=serve, args=(message,), daemon=True).start()
        elif "id" in message:
            serve(message)


if __name__ == "__main__":
    main()
