"""A tiny Claude Code that does what the prompt says (`scripted_play`); for tests, without a model.

It speaks stream-json on its pipes as `claude --print` does: silent until spoken to, `system/init`
at the start of every turn, `result` at its end, exit 1 on a line that is no JSON. Its session is
kept under $HOME/.scripted and taken up by `--resume ID`. Standard library only.
"""

import json
import os
import queue
import sys
import threading
import uuid
from typing import Any

from scripted_play import keep, play, store, taken_up, write_line

_answers: dict[str, "queue.Queue[Any]"] = {}
_prompts: "queue.Queue[str]" = queue.Queue()
_cancelled = threading.Event()
_is_busy = threading.Event()

USAGE = {"input_tokens": 100, "output_tokens": 10}


def write(**message: Any) -> None:
    write_line(json.dumps(message))


class Session:
    """The one session of this process."""

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.prompts: list[str] = []
        self.was_aborted_in = "aborted_streaming"

    def write(self, kind: str, **members: Any) -> None:
        write(type=kind, **members, session_id=self.id, uuid=str(uuid.uuid4()))

    def say(self, text: str) -> None:
        message_id = f"msg_{uuid.uuid4().hex[:12]}"
        delta = {"type": "text_delta", "text": text}
        for event in (
            {"type": "message_start", "message": {"id": message_id, "role": "assistant"}},
            {"type": "content_block_delta", "index": 0, "delta": delta},
        ):
            self.write("stream_event", event=event, parent_tool_use_id=None)
        self._message(message_id, {"type": "text", "text": text})

    def tool(self, title: str) -> None:
        call_id = self._use(title)
        self._result(call_id, "done", is_error=False)

    def ask(self, title: str) -> Any:
        call_id, request_id = self._use(title), str(uuid.uuid4())
        _answers[request_id] = queue.Queue()
        request = {"subtype": "can_use_tool", "tool_name": title, "input": {"command": title}}
        request["tool_use_id"] = call_id
        write(type="control_request", request_id=request_id, request=request)
        answer = _answers[request_id].get()
        if answer is None:
            self.was_aborted_in = "aborted_tools"
            return None
        self._result(call_id, "asked", is_error=answer.get("behavior") != "allow")
        return answer

    def _use(self, name: str) -> str:
        call_id = f"toolu_{uuid.uuid4().hex[:12]}"
        use = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
        self._message(f"msg_{uuid.uuid4().hex[:12]}", use)
        return call_id

    def _result(self, call_id: str, text: str, *, is_error: bool) -> None:
        result = {"type": "tool_result", "tool_use_id": call_id, "content": text}
        content = [{**result, "is_error": is_error}]
        self.write("user", message={"role": "user", "content": content}, parent_tool_use_id=None)

    def _message(self, message_id: str, block: dict[str, Any]) -> None:
        message = {"id": message_id, "role": "assistant", "content": [block]}
        self.write("assistant", message=message, parent_tool_use_id=None)

    def serve(self) -> None:
        """Take the prompts one after the other, for ever."""
        while True:
            text = _prompts.get()
            if not _is_busy.is_set():
                _begin()
            self.prompts.append(text)
            keep(self.id, self.prompts)
            self.write("system", subtype="init", cwd=os.getcwd(), permissionMode="default")
            try:
                self._ended(play(self, text, _cancelled))
            except ValueError as error:
                self._ended("stop_sequence", error=str(error))
            _is_busy.clear()

    def _ended(self, stop_reason: str, error: str = "") -> None:
        end = {"subtype": "success", "is_error": bool(error), "num_turns": 1, "usage": USAGE}
        if error:
            end |= {"terminal_reason": "api_error", "stop_reason": stop_reason, "result": error}
        elif stop_reason == "cancelled":
            end |= {"subtype": "error_during_execution", "is_error": True, "stop_reason": None}
            end |= {"terminal_reason": self.was_aborted_in, "errors": ["aborted"]}
        else:
            end |= {"terminal_reason": "completed", "stop_reason": stop_reason, "result": "ok"}
        self.write("result", **end)


def _begin() -> None:
    """A prompt is here: an interrupt means it from now on."""
    _cancelled.clear()
    _is_busy.set()


def control(request_id: str, request: dict[str, Any]) -> None:
    match request["subtype"]:
        case "interrupt":
            interrupt()
            answer: dict[str, Any] = {"still_queued": []}
        case "initialize":
            answer = {"commands": [], "models": [], "greeted": request}
        case "set_permission_mode" | "set_model":
            answer = {key: value for key, value in request.items() if key != "subtype"}
        case unknown:
            error = f"Unsupported control request subtype: {unknown}"
            write(
                type="control_response",
                response={"subtype": "error", "request_id": request_id, "error": error},
            )
            return
    response = {"subtype": "success", "request_id": request_id, "response": answer}
    write(type="control_response", response=response)


def interrupt() -> None:
    if not _is_busy.is_set():
        return
    _cancelled.set()
    for request_id, answers in list(_answers.items()):
        write(type="control_cancel_request", request_id=request_id)
        answers.put(None)
        del _answers[request_id]


def hear(message: dict[str, Any]) -> None:
    match message.get("type"):
        case "user":
            content = message["message"]["content"]
            blocks = [{"text": content}] if isinstance(content, str) else content
            if not _is_busy.is_set():
                _begin()
            _prompts.put("".join(block.get("text", "") for block in blocks))
        case "control_request":
            control(message["request_id"], message["request"])
        case "control_response":
            response = message["response"]
            if response["request_id"] in _answers:
                _answers.pop(response["request_id"]).put(response.get("response", {}))
        case _:
            pass  # Claude Code too passes over what it does not know


def opened() -> Session:
    """The session that the command line asks for."""
    if "--resume" not in sys.argv:
        return Session(str(uuid.uuid4()))
    session = Session(sys.argv[sys.argv.index("--resume") + 1])
    if not store(session.id).exists():
        lost = f"No conversation found with session ID: {session.id}"
        failed = {"subtype": "error_during_execution", "is_error": True, "num_turns": 0}
        session.write("result", **failed, errors=[lost])
        sys.exit(1)
    taken_up(session.id)
    session.prompts = json.loads(store(session.id).read_text())
    return session


def main() -> None:
    if "stream-json" not in sys.argv or "--print" not in sys.argv:
        sys.exit("this is no terminal")  # without its flags Claude Code speaks no protocol
    session = opened()
    threading.Thread(target=session.serve, daemon=True).start()
    for line in sys.stdin:
        try:
            message = json.loads(line)
        except ValueError:
            sys.exit(1)
        hear(message)


if __name__ == "__main__":
    main()
