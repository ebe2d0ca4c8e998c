"""What the scripted agents do: the script is in the prompt, `[[say Hello.]] [[ask Run it?]]`.

The directives are played in order (see VERBS). An agent is a program of its own for each protocol;
it says in its protocol what a `Session` here is asked to say. Standard library only.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

ANSWER = os.environ.get("SCRIPTED_ANSWER", "")
"""What is played for a prompt without directives."""

DIRECTIVE = re.compile(r"\[\[(\w+) ?(.*?)\]\]", re.DOTALL)

TRANSCRIPT = os.environ.get("SCRIPTED_TRANSCRIPT")
"""A file that gets every line of stdout too, if it is set."""

_write_lock = threading.Lock()
Cancelled = threading.Event


class Session(Protocol):
    """One session of an agent, in its protocol."""

    prompts: list[str]

    def say(self, text: str) -> None: ...

    def tool(self, title: str) -> None:
        """A tool call that needs no permission, from its beginning to its end."""

    def ask(self, title: str) -> Any:
        """Ask for permission; return the answer, None when it was withdrawn by a cancel."""


def write_line(text: str) -> None:
    """One line on stdout, from any thread."""
    with _write_lock:
        if TRANSCRIPT:
            with open(TRANSCRIPT, "a") as file:
                file.write(text + "\n")
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def taken_up(session_id: str) -> None:
    """A process is to go on with this session. With SCRIPTED_RESUME_KILLS it ends instead, as one
    does whose file of it is broken."""
    if os.environ.get("SCRIPTED_RESUME_KILLS"):
        print(f"can not read session {session_id}", file=sys.stderr, flush=True)
        os._exit(7)


def store(session_id: str) -> Path:
    """Where a session's prompts are kept over processes."""
    folder = Path(os.environ["HOME"]) / ".scripted"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{session_id}.json"


def keep(session_id: str, prompts: list[str]) -> None:
    """Write them as one: who is killed in the midst leaves the session as it was."""
    path = store(session_id)
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(prompts))
    draft.replace(path)


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
    return "cancelled" if answer is None else None


def tool(session: Session, rest: str, _: Cancelled) -> str | None:
    session.tool(rest)
    return None


def history(session: Session, _: str, __: Cancelled) -> str | None:
    session.say(f"HISTORY {len(session.prompts)} {session.prompts[0]}")
    return None


def big(session: Session, rest: str, _: Cancelled) -> str | None:
    session.say("x" * int(rest))
    return None


def chunks(session: Session, rest: str, _: Cancelled) -> str | None:
    """[[chunks N]]: N pieces of text with what is easily changed on the way."""
    for number in range(int(rest)):
        session.say(f'Chunk {number} é \u2028 \\ "quoted" \t end\n')
    return None


def hang(_: Session, rest: str, cancelled: Cancelled) -> str | None:
    """[[hang REASON]]: says nothing until cancelled, then ends with the reason."""
    return (rest or "cancelled") if cancelled.wait(3600) else None


def deaf(_: Session, __: str, ___: Cancelled) -> str | None:
    time.sleep(3600)
    return None


def garbage(_: Session, __: str, ___: Cancelled) -> str | None:
    write_line("this is no JSON")
    return None


def noise(_: Session, __: str, ___: Cancelled) -> str | None:
    """[[noise]]: what is no text, no JSON, JSON but no message, and blank."""
    with _write_lock:
        for line in (b"\xff\xfe\x00 no text", b'{"half": ', b"[1, 2]", b'"word"', b"", b"\r"):
            sys.stdout.buffer.write(line + b"\n")
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
    "chunks": chunks,
    "hang": hang,
    "deaf": deaf,
    "garbage": garbage,
    "noise": noise,
    "stderr": stderr,
    "exit": leave,
    "fail": fail,
}


def play(session: Session, text: str, cancelled: Cancelled) -> str:
    """Play the prompt's directives; return the stop reason. ValueError from `[[fail WHY]]`.

    Whoever takes the prompt in clears `cancelled`, at once: here, on the turn's own thread, a
    cancel that came right behind the prompt would be forgotten.
    """
    for verb, rest in DIRECTIVE.findall(text) or DIRECTIVE.findall(ANSWER):
        if cancelled.is_set():
            return "cancelled"
        if stop_reason := VERBS[verb](session, rest, cancelled):
            return stop_reason
    return "end_turn"
