#!/usr/bin/env python3
"""An agent without a model: it keeps notes. It shows all that a program needs to live in a devbox.

It speaks the Agent Client Protocol on stdin and stdout: JSON-RPC, one message a line. Prompts:

    remember TEXT   asks whether it may, then adds a line to notes.txt in its home directory
    notes           reads them to you
    count N         counts, five numbers a second, until it is done or cancelled
"""

import json
import sys
import threading
import uuid
from pathlib import Path
from queue import Queue
from typing import Any

NOTES = Path.home() / "notes.txt"
OPTIONS = [
    {"optionId": "yes", "kind": "allow_once", "name": "Yes"},
    {"optionId": "no", "kind": "reject_once", "name": "No"},
]
PAUSE_SECONDS = 0.2

write_lock = threading.Lock()
answers: Queue[dict[str, Any]] = Queue()
cancelled = threading.Event()


def send(**message: Any) -> None:
    with write_lock:
        print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def update(session: str, kind: str, **members: Any) -> None:
    params = {"sessionId": session, "update": {"sessionUpdate": kind, **members}}
    send(method="session/update", params=params)


def say(session: str, text: str) -> None:
    update(session, "agent_message_chunk", content={"type": "text", "text": text})


def may(session: str, call: dict[str, Any]) -> bool | None:
    """Ask for a permission; None when the turn was cancelled instead."""
    params = {"sessionId": session, "toolCall": call, "options": OPTIONS}
    send(id=str(uuid.uuid4()), method="session/request_permission", params=params)
    outcome = answers.get().get("result", {}).get("outcome", {})
    return outcome["optionId"] == "yes" if outcome.get("outcome") == "selected" else None


def remember(session: str, note: str) -> str:
    call = {"toolCallId": str(uuid.uuid4()), "title": f"write {note!r} into {NOTES.name}"}
    allowed = may(session, call)
    if allowed is None:
        return "cancelled"
    if not allowed:
        say(session, "Then I forget it.")
        return "end_turn"
    update(session, "tool_call", **call, status="in_progress")
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(f"{note}\n")
    update(session, "tool_call_update", toolCallId=call["toolCallId"], status="completed")
    say(session, "Noted.")
    return "end_turn"


def count(session: str, last: int) -> str:
    for number in range(1, last + 1):
        say(session, f"{number} ")
        if cancelled.wait(PAUSE_SECONDS):
            return "cancelled"
    return "end_turn"


def turn(session: str, text: str) -> str:
    """One turn; returns why it ended."""
    verb, _, rest = text.partition(" ")
    if verb == "remember":
        return remember(session, rest)
    if verb == "count" and rest.isdecimal():
        return count(session, int(rest))
    if verb == "notes":
        notes = NOTES.read_text(encoding="utf-8") if NOTES.exists() else "There are none.\n"
        say(session, notes)
    else:
        say(session, f"I heard: {text}")
    return "end_turn"


def answer(message: dict[str, Any]) -> None:
    params = message["params"]
    result: dict[str, Any] = {}
    match message["method"]:
        case "initialize":
            result = {"protocolVersion": 1, "agentCapabilities": {"loadSession": True}}
        case "session/new":
            result = {"sessionId": str(uuid.uuid4())}
        case "session/load":
            pass  # all that it knows is in its notes, and they are kept while it sleeps
        case "session/prompt":
            text = "".join(block.get("text", "") for block in params["prompt"])
            result = {"stopReason": turn(params["sessionId"], text)}
        case method:
            error = {"code": -32601, "message": f"There is no method {method}."}
            send(id=message["id"], error=error)
            return
    send(id=message["id"], result=result)


def main() -> None:
    for line in sys.stdin:
        message = json.loads(line)
        if "method" not in message:
            answers.put(message)
        elif message["method"] == "session/cancel":
            cancelled.set()
        elif message["method"] == "session/prompt":
            cancelled.clear()
            threading.Thread(target=answer, args=(message,), daemon=True).start()
        elif "id" in message:
            answer(message)


if __name__ == "__main__":
    main()
