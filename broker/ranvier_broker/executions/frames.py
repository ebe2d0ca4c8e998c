"""The words between the API server and the desk, and the record of an execution. Pure.

A call comes as one JSON object on the line, `{"call", "op", …}`; its answer is `{"ok": {…}}` or
`{"error": {"code", "message"}}`. Output is bytes, so it travels in base64. The API server's side of
these words is `ranvier.executions` in the SDK.
"""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier_broker.executions.events import RUN_PREFIX, Execution, Phase

ID_CHARACTERS_MAX: Final = 64
PIECE_BYTES_MAX: Final = 1024 * 1024
"""Most that one call reads or writes."""

WAIT_MS_MAX: Final = 30_000
"""Longest that a call is held while there is nothing to tell."""

TITLE_CHARACTERS_MAX: Final = 4096
"""Of a command in the devbox's log."""

OUTPUTS: Final = ("stdout", "stderr")


class BadCall(Exception):
    """The call makes no sense; the message says why."""


@dataclass(frozen=True, slots=True)
class Start:
    """Start it, or find that it was started."""

    execution_id: str
    script: str
    has_stdin: bool
    output_bytes_max: int
    seconds_max: int
    title: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How it stands; held until it is completed or the time is over. `last_n` lines of output."""

    execution_id: str
    last_n: int
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Read:
    """Output from a byte on; held while there is none and it may still come."""

    execution_id: str
    output: str
    offset: int
    bytes_max: int
    wait_ms: int


@dataclass(frozen=True, slots=True)
class Write:
    """To its stdin. With a key, a repeat writes nothing; `ends` closes stdin after it."""

    execution_id: str
    data: bytes
    key: str
    ends: bool


@dataclass(frozen=True, slots=True)
class Signal:
    execution_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Forget:
    execution_id: str


@dataclass(frozen=True, slots=True)
class ListAll:
    pass


Call = Start | State | Read | Write | Signal | Forget | ListAll


def parse(data: str) -> tuple[str, Call]:
    """The call's number and the call. Raises BadCall."""
    try:
        body = json.loads(data)
        number = str(body["call"])
        return number, _READERS[body["op"]](body)
    except (ValueError, KeyError, TypeError) as error:
        raise BadCall(f"an unreadable call: {error!r}") from error


def number_of(data: str) -> str:
    """The number of a call that can not be read otherwise; empty when it has none."""
    try:
        return str(json.loads(data)["call"])
    except (ValueError, KeyError, TypeError):
        return ""


def done(**members: Any) -> dict[str, Any]:
    return {"ok": members}


def failed(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message}}


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def record(execution: Execution) -> bytes:
    """What the next sidecar must know of it."""
    return json.dumps(
        {
            "execution_id": execution.execution_id,
            "script": execution.script,
            "has_stdin": execution.has_stdin,
            "output_bytes_max": execution.output_bytes_max,
            "seconds_max": execution.seconds_max,
            "dropped": execution.dropped,
            "phase": execution.phase,
            "exit_status": execution.exit_status,
            "input_ended": execution.input_ended,
            "size": execution.size,
            "asked_ms": execution.asked_ms,
            "ended_ms": execution.ended_ms,
            "title": execution.title,
        }
    ).encode()


def from_record(data: bytes) -> Execution:
    """Raises ValueError, KeyError, TypeError."""
    body = json.loads(data)
    return Execution(**{**body, "phase": Phase(body["phase"])})


def _identifier(body: Mapping[str, Any]) -> str:
    # It becomes the name of folders, and a word in the launcher's requests.
    text = str(body["execution_id"])
    rest = text.removeprefix(RUN_PREFIX).replace("-", "").replace("_", "")
    if not text.startswith(RUN_PREFIX) or len(text) > ID_CHARACTERS_MAX or not rest.isalnum():
        raise ValueError(f"no execution can be called {text!r}")
    if not text.isascii():
        raise ValueError(f"no execution can be called {text!r}")
    return text


def _start(body: Mapping[str, Any]) -> Call:
    limits = int(body["output_bytes_max"]), int(body["seconds_max"])
    title = str(body.get("title") or "")[:TITLE_CHARACTERS_MAX]
    return Start(_identifier(body), str(body["script"]), bool(body["has_stdin"]), *limits, title)


def _state(body: Mapping[str, Any]) -> Call:
    return State(_identifier(body), int(body["last_n"]), _wait(body))


def _read(body: Mapping[str, Any]) -> Call:
    output, offset = str(body["output"]), int(body["offset"])
    if output not in OUTPUTS or offset < 0:
        raise ValueError("output is stdout or stderr, and an offset is not negative")
    wanted = max(1, min(int(body["bytes_max"]), PIECE_BYTES_MAX))
    return Read(_identifier(body), output, offset, wanted, _wait(body))


def _write(body: Mapping[str, Any]) -> Call:
    data = base64.b64decode(str(body["data"]), validate=True)
    return Write(_identifier(body), data, str(body.get("key") or ""), bool(body.get("ends")))


def _signal(body: Mapping[str, Any]) -> Call:
    name = str(body["name"])
    if not (name.isascii() and name.isalnum() and name.isupper()):
        raise ValueError(f"no signal is called {name!r}")
    return Signal(_identifier(body), name)


def _wait(body: Mapping[str, Any]) -> int:
    return max(0, min(int(body["wait_ms"]), WAIT_MS_MAX))


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], Call]]] = {
    "start": _start,
    "state": _state,
    "read": _read,
    "write": _write,
    "signal": _signal,
    "forget": lambda body: Forget(_identifier(body)),
    "list": lambda _: ListAll(),
}
