#!/usr/bin/env python3
"""Makes axon journals of recorded agent traffic, as a broker would have written them.

  python3 hack/model/journals.py acp RECORDING.jsonl tests/golden/views/NAME.journal.jsonl

A recording holds one JSON object a line: `{"t": seconds, "d": ">" | "<", "m": message}`, or
`{"dir": "in" | "out", "msg": message}` as record_acp.py writes it; ">" and "in" went into the
agent. Other lines (notes, stderr) are left out. A prompt sent while a turn runs becomes a turn of
its own when that one has ended, as brokers do. Long texts are cut, homes are renamed.
"""

import argparse
import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Json = dict[str, Any]

TEXT_CHARACTERS_MAX = 120
ITEMS_MAX = 3
START_MS = 1_000_000
BOX = re.compile(r"/box/run/\w+/(?:ws|home)|/tmp/[\w./-]*|/box/[\w./-]*")


class Journal:
    """Events in order, and the turn that is open."""

    def __init__(self) -> None:
        self.events: list[Json] = []
        self.waiting: deque[int] = deque()
        self.turn: str | None = None
        self.now_ms = START_MS

    def put(self, origin: str, source: str, event_type: str, value: Any) -> int:
        sequence = len(self.events) + 1
        self.events.append(
            {
                "axon_id": "axn_recorded",
                "sequence": sequence,
                "timestamp_ms": self.now_ms,
                "origin": f"{origin}_EVENT",
                "source": source,
                "event_type": event_type,
                "payload": json.dumps(value, ensure_ascii=False, separators=(",", ":")),
            }
        )
        return sequence

    def client(self, event_type: str, value: Any) -> int:
        return self.put("USER", "client", event_type, value)

    def agent(self, event_type: str, value: Any) -> None:
        self.put("AGENT", "broker", event_type, value)

    def system(self, event_type: str, **payload: Any) -> None:
        self.put("SYSTEM", "broker", event_type, payload)

    def prompt(self, event_type: str, value: Any) -> None:
        self.waiting.append(self.client(event_type, value))
        self.start()

    def start(self) -> None:
        if self.turn is None and self.waiting:
            trigger = self.waiting.popleft()
            self.turn = f"trn_recorded_0_{trigger}"
            self.system("turn.started", turn_id=self.turn, trigger_sequence=trigger)

    def end(self, terminal: str, **payload: Any) -> None:
        if self.turn is not None:
            self.system(terminal, turn_id=self.turn, **payload)
            self.turn = None
            self.start()


def acp(journal: Journal, direction: str, message: Json, methods: dict[Any, str]) -> None:
    method = message.get("method")
    if method is not None and "id" in message:
        methods[direction, message["id"]] = method
    payload = message.get("params", message.get("result"))
    if direction == ">":
        method = method or methods.get(("<", message.get("id")), "response")
        (journal.prompt if method == "session/prompt" else journal.client)(method, payload)
        return
    if method is not None or "error" not in message:
        method = method or methods.get((">", message.get("id")), "response")
        journal.agent(method, payload)
    if message.get("method") is not None or methods.get((">", message.get("id"))) is None:
        return
    asked = methods[">", message["id"]]
    if "error" in message and asked == "session/prompt":
        journal.end("turn.failed", error=message["error"]["message"], reason="agent_error")
    elif "error" in message:
        error = {"error": message["error"]["message"], "method": asked, "reason": "request_failed"}
        journal.system("turn.failed", **error)
    elif asked == "session/prompt":
        reason = message["result"].get("stopReason")
        kind = "turn.cancelled" if reason == "cancelled" else "turn.completed"
        usage = message["result"].get("usage")
        journal.end(kind, stop_reason=reason, **({"usage": usage} if usage else {}))


def claude(journal: Journal, direction: str, message: Json, _: dict[Any, str]) -> None:
    kind = str(message.get("type"))
    if direction == ">":
        if kind == "user":
            journal.prompt("query", message)
        else:
            journal.client(kind, message)
        return
    journal.agent(kind, message)
    if kind != "result":
        return
    reason = message.get("terminal_reason") or message.get("subtype")
    if not message.get("is_error"):
        journal.end("turn.completed", stop_reason=message.get("stop_reason"))
    elif str(reason).startswith("aborted"):
        journal.end("turn.cancelled", stop_reason=reason)
    else:
        error = str(message.get("result") or message.get("errors") or reason)
        journal.end("turn.failed", error=error, reason="agent_error")


def codex(journal: Journal, direction: str, message: Json, _: dict[Any, str]) -> None:
    frame = {name: value for name, value in message.items() if name != "jsonrpc"}
    method = frame.get("method", "response")
    if direction == ">":
        (journal.prompt if method == "turn/start" else journal.client)(method, frame)
        return
    journal.agent(method, frame)
    if method != "turn/completed":
        return
    turn = frame["params"]["turn"]
    match turn["status"]:
        case "completed":
            journal.end("turn.completed", stop_reason="completed")
        case "interrupted":
            journal.end("turn.cancelled", stop_reason="interrupted")
        case _:
            error = (turn.get("error") or {}).get("message") or "failed"
            journal.end("turn.failed", error=error, reason="agent_error")


def pi(journal: Journal, direction: str, message: Json, answers: dict[Any, str]) -> None:
    kind = str(message.get("type"))
    if direction == ">":
        names = {"prompt": "turn/start", "abort": "cancel", "get_state": "initialize"}
        (journal.prompt if kind == "prompt" else journal.client)(names.get(kind, kind), message)
        return
    journal.agent(kind, message)
    if kind == "message_end" and message["message"].get("role") == "assistant":
        answers["reason"] = message["message"].get("stopReason", "")
        answers["error"] = message["message"].get("errorMessage", "")
    if kind != "agent_settled":
        return
    if message.get("aborted"):
        journal.end("turn.cancelled", stop_reason="cancelled")
    elif answers["reason"] == "error":
        journal.end("turn.failed", error=answers["error"], reason="agent_error")
    else:
        journal.end("turn.completed", stop_reason="end_turn")


PROTOCOLS = {"acp": acp, "claude_json": claude, "codex_app_server": codex, "pi_json": pi}


def messages(recording: Path) -> Iterator[tuple[float, str, Json]]:
    """Time, direction and message of each line that is one."""
    for number, line in enumerate(recording.read_text().splitlines()):
        entry = json.loads(line)
        direction = {"in": ">", "out": "<"}.get(entry.get("dir"), entry.get("d"))
        message = entry.get("msg", entry.get("m"))
        if direction in (">", "<") and isinstance(message, dict):
            yield entry.get("t", number / 100), direction, message


def tidied(value: Any) -> Any:
    """The value with long texts cut and homes renamed."""
    if isinstance(value, str):
        text = BOX.sub("/home/user", value)
        return text if len(text) <= TEXT_CHARACTERS_MAX else text[:TEXT_CHARACTERS_MAX] + "…"
    if isinstance(value, list):
        return [tidied(item) for item in value[:ITEMS_MAX]]
    if isinstance(value, dict):
        return {name: tidied(item) for name, item in value.items()}
    return value


def journal_of(protocol: str, recording: Path) -> list[Json]:
    """The journal of one recording. A turn that the recording leaves open was interrupted."""
    journal, methods = Journal(), dict[Any, str]()
    for seconds, direction, message in messages(recording):
        journal.now_ms = START_MS + round(seconds * 1000)
        greets = message.get("method") == "initialize"
        if direction == ">" and greets and journal.turn is not None:
            journal.end("turn.failed", error="The broker went away.", reason="interrupted")
        PROTOCOLS[protocol](journal, direction, tidied(message), methods)
    while journal.turn is not None:
        journal.end("turn.failed", error="The agent exited.", reason="agent_exited")
    return journal.events


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("protocol", choices=sorted(PROTOCOLS))
    parser.add_argument("recording", type=Path)
    parser.add_argument("journal", type=Path)
    asked = parser.parse_args()
    events = journal_of(asked.protocol, asked.recording)
    asked.journal.write_text("".join(f"{json.dumps(e, ensure_ascii=False)}\n" for e in events))


if __name__ == "__main__":
    main()
