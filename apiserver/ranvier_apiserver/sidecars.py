"""The sidecars that have their line open, and calls to them.

A sidecar opens the line; calls go out on it and answers come in as posts. A call that was not
answered when a line broke is sent again on the next one, within its caller's patience: every call
may be made twice. Nothing is remembered here, so a new process goes on as soon as the lines are
open again. With several replicas a line is open to one of them, and the others hand calls on to it.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from pydantic_core import to_json
from ranvier.internal import CallAnswer

from ranvier_apiserver import frames
from ranvier_apiserver.errors import (
    ExecutionNotFound,
    RanvierError,
    SidecarAway,
    SidecarFailed,
    StdinClosed,
    StdinFull,
    TooBusy,
    WrongState,
)

PATIENCE_SECONDS: Final = 20.0
"""How long a call waits for a line and its answer, beyond what it asks the sidecar to wait; below
the 30 s after which the published clients ask again."""

BACK_SECONDS: Final = 5.0
"""How long a call whose line broke waits for the next line. A sidecar that was restarted is back in
that time; one that is not has gone with its pod, and a caller that asks again is told so."""

LOOK_SECONDS: Final = 0.25
"""How often a call without a line asks whether another replica has one."""

CALLS_WAITING_MAX: Final = 1024
"""Calls to one devbox that were not answered yet; more are refused."""

REFUSALS: Final[Mapping[str, Callable[[str], RanvierError]]] = {
    "execution_not_found": ExecutionNotFound,
    "going_to_sleep": WrongState,
    "stdin_closed": StdinClosed,
    "stdin_full": StdinFull,
    "too_busy": TooBusy,
}
"""By the sidecar's word for why it does not do what it was asked."""

Emit = Callable[[bytes], Awaitable[None]]


class Line:
    """One open line. None ends it."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[bytes | None] = asyncio.Queue()

    def end(self) -> None:
        self.frames.put_nowait(None)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A call that was sent and not answered; None answers it when its line is gone."""

    devbox_uid: str
    line: Line
    answer: "asyncio.Future[CallAnswer | None]"

    def settle(self, answer: CallAnswer | None) -> None:
        if not self.answer.done():
            self.answer.set_result(answer)


class Elsewhere(Protocol):
    """The other replicas."""

    async def hold(self, devbox_uid: str) -> bool:
        """Tell them that the line is here; False when they could not be told."""
        ...

    async def let_go(self, devbox_uid: str) -> None:
        """Tell them that it is not any more."""
        ...

    async def ask(
        self, devbox_uid: str, op: str, members: Mapping[str, Any], wait_seconds: float
    ) -> CallAnswer | None:
        """What the sidecar answers to whoever has its line; None when nobody has."""
        ...


class Sidecars:
    """Lines by devbox, and what was asked on them."""

    def __init__(self, elsewhere: Elsewhere | None = None) -> None:
        self._elsewhere = elsewhere
        self._lines: dict[str, Line] = {}
        self._pending: dict[str, _Pending] = {}
        self._numbers = itertools.count(1)
        self._opened = asyncio.Event()
        self._is_closed = False
        self._leaving: set[asyncio.Future[None]] = set()

    def is_open(self, devbox_uid: str) -> bool:
        return devbox_uid in self._lines

    async def serve(self, devbox_uid: str, emit: Emit) -> None:
        """Send calls to a sidecar until its line ends. A newer line takes an older one's place."""
        line = Line()
        if (older := self._lines.get(devbox_uid)) is not None:
            older.end()
        self._lines[devbox_uid] = line
        if self._is_closed:
            line.end()
        self._opened.set()
        self._opened = asyncio.Event()
        is_told = self._elsewhere is None
        try:
            while True:
                if not is_told and self._elsewhere is not None:
                    is_told = await self._elsewhere.hold(devbox_uid)
                if (frame := await self._next(line)) is None:
                    break
                await emit(frame)
        finally:
            if self._lines.get(devbox_uid) is line:
                del self._lines[devbox_uid]
                self._leave(devbox_uid)
            for pending in self._pending.values():
                if pending.line is line:
                    pending.settle(None)

    def answered(self, devbox_uid: str, number: str, answer: CallAnswer) -> None:
        """A sidecar's answer; one that nobody waits for any more is dropped."""
        pending = self._pending.get(number)
        if pending is not None and pending.devbox_uid == devbox_uid:
            pending.settle(answer)

    async def call(
        self, devbox_uid: str, op: str, members: Mapping[str, Any], wait_seconds: float = 0
    ) -> dict[str, Any]:
        """Ask a sidecar. Raises SidecarAway, TooBusy, and what stands in REFUSALS."""
        try:
            async with asyncio.timeout(wait_seconds + PATIENCE_SECONDS):
                answer = await self._answer(devbox_uid, op, members, wait_seconds)
        except TimeoutError:
            raise SidecarAway from None
        if answer.ok is not None:
            return answer.ok
        if answer.error is None:
            raise SidecarFailed("The devbox's sidecar gave no answer that this version knows.")
        raise REFUSALS.get(answer.error.code, SidecarFailed)(answer.error.message)

    async def ask_here(
        self, devbox_uid: str, op: str, members: Mapping[str, Any]
    ) -> CallAnswer | None:
        """For another replica: the answer on a line that is open here, None without one."""
        line = self._lines.get(devbox_uid)
        return await self._ask(line, devbox_uid, op, members) if line is not None else None

    def close(self) -> None:
        """End all lines: the server stops."""
        self._is_closed = True
        self._opened.set()
        for line in self._lines.values():
            line.end()

    async def _next(self, line: Line) -> bytes | None:
        try:
            async with asyncio.timeout(frames.PING_SECONDS):
                return await line.frames.get()
        except TimeoutError:
            return frames.PING

    async def _answer(
        self, devbox_uid: str, op: str, members: Mapping[str, Any], wait_seconds: float
    ) -> CallAnswer:
        """From the line here, or from the replica that has it; asked again when one breaks."""
        seconds = PATIENCE_SECONDS + wait_seconds
        while True:
            async with asyncio.timeout(seconds):
                while (line := self._lines.get(devbox_uid)) is None:
                    if self._is_closed:
                        raise SidecarAway
                    if self._elsewhere is not None:
                        far = await self._elsewhere.ask(devbox_uid, op, members, wait_seconds)
                        if far is not None:
                            return far
                    await self._next_line()
            if (answer := await self._ask(line, devbox_uid, op, members)) is not None:
                return answer
            seconds = BACK_SECONDS

    async def _next_line(self) -> None:
        """Until a line was opened here, or it is time to ask the others."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self._elsewhere is None else LOOK_SECONDS):
                await self._opened.wait()

    def _leave(self, devbox_uid: str) -> None:
        """Told to the others by a task of its own: whoever served the line is cancelled by now."""
        if self._elsewhere is not None:
            task = asyncio.ensure_future(self._elsewhere.let_go(devbox_uid))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _ask(
        self, line: Line, devbox_uid: str, op: str, members: Mapping[str, Any]
    ) -> CallAnswer | None:
        """Its answer; None when the line broke first."""
        if sum(p.devbox_uid == devbox_uid for p in self._pending.values()) >= CALLS_WAITING_MAX:
            raise TooBusy("Too many requests to this devbox are under way; try again.")
        number = str(next(self._numbers))
        pending = _Pending(devbox_uid, line, asyncio.get_running_loop().create_future())
        self._pending[number] = pending
        line.frames.put_nowait(b"data: " + to_json({"call": number, "op": op, **members}) + b"\n\n")
        try:
            return await pending.answer
        finally:
            del self._pending[number]
