"""Executions of a devbox, asked of its sidecar."""

import base64
import contextlib
import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from ranvier_apiserver.errors import RanvierError
from ranvier_apiserver.executions.words import cut_text
from ranvier_apiserver.sidecars import Sidecars

OUTPUT_BYTES_MAX: Final = 32 * 1024 * 1024
"""Of each output of a command; what comes after it is not kept, the command runs on."""

PIECE_BYTES: Final = 256 * 1024
"""Asked for at once: large enough to be fast, small enough to share the line."""

WAIT_SECONDS_MAX: Final = 25.0
"""Longest that a caller is held; Runloop's own bound."""

STREAM_WAIT_SECONDS: Final = 8.0
"""How long a stream waits for output before it says that it lives."""

KILL_WAIT_SECONDS: Final = 2.0
"""How long a kill waits to tell the end with its answer."""

Output = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True)
class Piece:
    """Some output. `offset`: the byte where the next begins."""

    data: bytes
    offset: int
    is_end: bool


@dataclass(frozen=True, slots=True)
class Tail:
    """The last lines of an output of `size` bytes; `is_cut`: there is, or was, more than these."""

    data: bytes = b""
    size: int = 0
    is_cut: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """How an execution stands. `exit_status` once it is completed."""

    name: str
    status: Literal["queued", "running", "completed"]
    exit_status: int | None
    stdout: Tail = Tail()
    stderr: Tail = Tail()
    title: str = ""
    asked_ms: int = 0
    ended_ms: int = 0

    @property
    def is_completed(self) -> bool:
        return self.status == "completed"


class Executions:
    """`uid` names the devbox, `name` the execution."""

    def __init__(self, sidecars: Sidecars) -> None:
        self._sidecars = sidecars

    async def start(
        self,
        uid: str,
        name: str,
        script: str,
        *,
        has_stdin: bool = False,
        output_bytes_max: int = OUTPUT_BYTES_MAX,
        seconds_max: int = 0,
        title: str = "",
    ) -> None:
        """Start it; when it was started before, it is the same one. `seconds_max`: then it is
        ended, 0 for never. `title`: what it is called in the devbox's log, if it stands there."""
        members = {
            "execution_id": name,
            "script": script,
            "has_stdin": has_stdin,
            "output_bytes_max": output_bytes_max,
            "seconds_max": seconds_max,
            "title": title,
        }
        await self._sidecars.call(uid, "start", members)

    async def state(self, uid: str, name: str, last_n: int, wait_seconds: float = 0) -> State:
        """How it stands, when it is completed or the time is over, and its last lines."""
        wait = max(0.0, min(wait_seconds, WAIT_SECONDS_MAX))
        members = {"execution_id": name, "last_n": last_n, "wait_ms": round(wait * 1000)}
        return _state(await self._sidecars.call(uid, "state", members, wait))

    async def all(self, uid: str) -> list[State]:
        """Those that the sidecar still knows, without their output."""
        return [_state(each) for each in (await self._sidecars.call(uid, "list", {}))["executions"]]

    async def read(self, uid: str, name: str, output: Output, offset: int) -> Piece:
        """What comes after this byte; after a while nothing, if nothing came."""
        members = {
            "execution_id": name,
            "output": output,
            "offset": offset,
            "bytes_max": PIECE_BYTES,
            "wait_ms": round(STREAM_WAIT_SECONDS * 1000),
        }
        found = await self._sidecars.call(uid, "read", members, STREAM_WAIT_SECONDS)
        data = base64.b64decode(found["data"])
        return Piece(data, offset + len(data), bool(found["end"]))

    async def pieces(
        self, uid: str, name: str, output: Output, offset: int = 0
    ) -> AsyncIterator[Piece]:
        """Output from this byte to the end of the execution. Empty pieces tell that it lives."""
        while True:
            piece = await self.read(uid, name, output, offset)
            yield piece
            if piece.is_end:
                return
            offset = piece.offset

    async def texts(
        self, uid: str, name: str, output: Output, offset: int
    ) -> AsyncIterator[tuple[str, int]]:
        """The same as text, each with the byte where the next begins; no character is cut."""
        held = b""
        async for piece in self.pieces(uid, name, output, offset):
            text, used = cut_text(held + piece.data, piece.is_end)
            held = (held + piece.data)[used:]
            yield text, piece.offset - len(held)

    async def write(
        self, uid: str, name: str, data: bytes, *, key: str = "", ends: bool = False
    ) -> None:
        """To its stdin; once for each key."""
        encoded = base64.b64encode(data).decode()
        members = {"execution_id": name, "data": encoded, "key": key, "ends": ends}
        await self._sidecars.call(uid, "write", members)

    async def signal(self, uid: str, name: str, signal: str) -> None:
        """To the whole process group."""
        await self._sidecars.call(uid, "signal", {"execution_id": name, "name": signal})

    async def drop(self, uid: str, name: str) -> None:
        """End it if it runs, and forget it. What fails here leaves it to its time limit."""
        with contextlib.suppress(RanvierError):
            await self._sidecars.call(uid, "forget", {"execution_id": name})


def _state(body: Mapping[str, Any]) -> State:
    return State(
        str(body["execution_id"]),
        body["status"],
        body["exit_status"],
        _tail(body, "stdout"),
        _tail(body, "stderr"),
        # A sidecar of an earlier version, in a pod that still runs, does not tell these.
        title=str(body.get("title", "")),
        asked_ms=int(body.get("asked_ms", 0)),
        ended_ms=int(body.get("ended_ms", 0)),
    )


def _tail(body: Mapping[str, Any], output: Output) -> Tail:
    if output not in body:
        return Tail()
    size, is_cut = int(body[f"{output}_bytes"]), bool(body[f"{output}_truncated"])
    return Tail(base64.b64decode(body[output]), size, is_cut)


def name_for(seed: bytes) -> str:
    """The execution of a request: the same request finds the same one."""
    return "exe_" + hashlib.blake2b(seed, digest_size=16).hexdigest()
