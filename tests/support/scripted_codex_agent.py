"""A tiny Codex app server that does what the prompt says (`scripted_play`); for tests, no model.

As the real one it writes frames without `jsonrpc`, refuses all before `initialize` and a second
`initialize`, answers `turn/start` at once, steers a running turn instead of starting a second, and
knows only threads that were started or resumed in this process. Threads are kept under
$HOME/.scripted once a turn began in them. Standard library only.
"""

import json
import queue
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

from scripted_play import keep, play, store, taken_up, write_line

Json = dict[str, Any]

_answers: dict[int, "queue.Queue[Any]"] = {}
_is_greeted = threading.Event()


class Refused(Exception):
    """A request that is answered by an error."""


def write(**frame: Any) -> None:
    write_line(json.dumps(frame))


class Thread:
    """One thread; its turns run beside the loop that reads requests."""

    live: dict[str, "Thread"] = {}  # noqa: RUF012 (a script's registry)

    def __init__(self, thread_id: str, prompts: list[str] | None = None) -> None:
        self.id = thread_id
        self.prompts = prompts or []
        self.turn_id: str | None = None
        self.cancelled = threading.Event()
        self.question: int | None = None
        self.used = 0
        Thread.live[thread_id] = self

    def notify(self, method: str, **params: Any) -> None:
        write(method=method, params={"threadId": self.id, **params})

    def item(self, stage: str, **item: Any) -> None:
        self.notify(f"item/{stage}", turnId=self.turn_id, item=item)

    def say(self, text: str) -> None:
        item_id = f"msg_{uuid.uuid4().hex[:12]}"
        self.item("started", type="agentMessage", id=item_id, text="")
        delta = {"turnId": self.turn_id, "itemId": item_id, "delta": text}
        self.notify("item/agentMessage/delta", **delta)
        self.item("completed", type="agentMessage", id=item_id, text=text)

    def tool(self, title: str) -> None:
        call = self._call(title)
        self.item("started", **call, status="inProgress")
        self.item("completed", **call, status="completed", exitCode=0)

    def ask(self, title: str) -> Any:
        call = self._call(title)
        self.item("started", **call, status="inProgress")
        number = self.question = len(_answers)
        _answers[number] = queue.Queue()
        method = "item/commandExecution/requestApproval"
        params = {"threadId": self.id, "turnId": self.turn_id, "itemId": call["id"]}
        write(method=method, id=number, params=params | {"command": title})
        answer = _answers[number].get()
        self.question = None
        self.notify("serverRequest/resolved", requestId=number)
        allowed = answer is not None and answer.get("decision") == "accept"
        self.item("completed", **call, status="completed" if allowed else "declined")
        return answer

    def _call(self, title: str) -> Json:
        call_id = f"call_{uuid.uuid4().hex[:12]}"
        return {"type": "commandExecution", "id": call_id, "command": title}

    def run(self, text: str) -> None:
        """One turn, from its beginning to its end."""
        turn: Json = {"id": self.turn_id, "items": [], "error": None}
        self.notify("turn/started", turn=turn | {"status": "inProgress"})
        try:
            ended = play(self, text, self.cancelled)
            turn["status"] = "interrupted" if ended == "cancelled" else "completed"
        except ValueError as error:
            turn |= {"status": "failed", "error": {"message": str(error)}}
        last = {"inputTokens": len(text), "outputTokens": 1, "totalTokens": len(text) + 1}
        self.used += last["totalTokens"]
        total = {"inputTokens": 0, "outputTokens": 0, "totalTokens": self.used}
        usage = {"total": total, "last": last}
        self.notify("thread/tokenUsage/updated", turnId=self.turn_id, tokenUsage=usage)
        self.turn_id = None
        self.notify("turn/completed", turn=turn)


def named(params: Json) -> Thread:
    thread = Thread.live.get(params["threadId"])
    if thread is None:
        raise Refused(f"thread not found: {params['threadId']}")
    return thread


def initialize(params: Json) -> Json:
    if _is_greeted.is_set():
        raise Refused("Already initialized")
    _is_greeted.set()
    return {"userAgent": f"scripted ({params['clientInfo']['name']})", "platformOs": "linux"}


def thread_start(params: Json) -> Json:
    thread = Thread(str(uuid.uuid4()))
    write(method="thread/started", params={"thread": {"id": thread.id}})
    return {"thread": {"id": thread.id}, "cwd": params.get("cwd")}


def thread_resume(params: Json) -> Json:
    path = store(params["threadId"])
    if not path.exists():
        raise Refused(f"no rollout found for thread id {params['threadId']}")
    taken_up(params["threadId"])
    thread = Thread(params["threadId"], json.loads(path.read_text()))
    return {"thread": {"id": thread.id}, "cwd": params.get("cwd")}


def turn_start(params: Json) -> Json:
    thread = named(params)
    if thread.turn_id is not None:  # steered into the running turn
        return {"turn": {"id": thread.turn_id, "status": "inProgress"}}
    text = "".join(part.get("text", "") for part in params["input"])
    thread.prompts.append(text)
    keep(thread.id, thread.prompts)
    thread.turn_id = str(uuid.uuid4())
    return {"turn": {"id": thread.turn_id, "status": "inProgress"}}


def turn_interrupt(params: Json) -> Json:
    thread = named(params)
    if thread.turn_id is None or thread.turn_id != params["turnId"]:
        raise Refused("no active turn to interrupt")
    thread.cancelled.set()
    if thread.question is not None:
        _answers[thread.question].put(None)
    return {}


METHODS: dict[str, Callable[[Json], Json]] = {
    "initialize": initialize,
    "thread/start": thread_start,
    "thread/resume": thread_resume,
    "thread/list": lambda params: {"data": [{"id": name} for name in Thread.live]},
    "turn/start": turn_start,
    "turn/interrupt": turn_interrupt,
}


def serve(frame: Json) -> None:
    method, params = frame["method"], frame.get("params") or {}
    thread = Thread.live.get(params.get("threadId", ""))
    was_running = thread is not None and thread.turn_id is not None
    try:
        if not _is_greeted.is_set() and method != "initialize":
            raise Refused("Not initialized")
        if method not in METHODS:
            raise Refused(f"Invalid request: unknown variant `{method}`")
        result = METHODS[method](params)
    except (Refused, KeyError) as error:
        write(error={"code": -32600, "message": str(error.args[0])}, id=frame["id"])
        return
    write(id=frame["id"], result=result)
    if method == "turn/start" and thread is not None and not was_running:
        text = thread.prompts[-1]
        thread.cancelled.clear()
        threading.Thread(target=thread.run, args=(text,), daemon=True).start()


def main() -> None:
    if "app-server" not in sys.argv:
        sys.exit("this is no terminal")  # as codex without its subcommand
    for line in sys.stdin:
        try:
            frame = json.loads(line)
        except ValueError:
            continue  # the real one only logs it
        if "method" not in frame:
            if waiting := _answers.get(frame["id"]):
                waiting.put(frame.get("result"))
        elif "id" in frame:
            serve(frame)


if __name__ == "__main__":
    main()
