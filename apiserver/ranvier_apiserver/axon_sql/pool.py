"""The worker processes: started when needed, one job at a time each, ended when idle or stuck.

Runs in the event loop, which only moves bytes: no SQL, no waiting for the disk.
"""

import asyncio
import json
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import astuple
from typing import Final

from ranvier_apiserver.axon_sql import limits, wire
from ranvier_apiserver.axon_sql.homes import Terms
from ranvier_apiserver.axon_sql.wire import Ask, Outcome, Reply
from ranvier_apiserver.errors import TooBusy

ENVIRONMENT: Final = {"LC_ALL": "C.UTF-8"}
"""Nothing of the server's own: no addresses, no secrets."""

Attending = Callable[[Ask, bytes], Awaitable[Reply]]
"""Answers what a worker asks amid a job."""

log = logging.getLogger(__name__)


class Worker:
    """One process and the pipes to it."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.idle_since = 0.0

    @classmethod
    async def start(cls, terms: Terms) -> "Worker":
        module = "ranvier_apiserver.axon_sql.worker"
        chosen = json.dumps(astuple(terms.limits))
        arguments = [str(terms.folder), str(terms.journal or ""), chosen]
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            module,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        return cls(process)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None

    async def ask(self, frame: bytes, attend: Attending) -> Reply:
        """The worker's answer, or what its death says."""
        try:
            body = await self._say(frame)
            while (asked := wire.ask_from(body)) is not None:
                body = await self._say(wire.reply_frame(await attend(*asked)))
            return wire.reply_from(body)
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await self._process.wait()
            if code == -signal.SIGALRM:
                return Reply(Outcome.STOPPED, b"more time than a request has")
            log.warning("a SQL worker ended", extra={"code": code})
            return Reply(Outcome.STOPPED, b"more than its process could bear")

    async def _say(self, frame: bytes) -> bytes:
        """What the worker says next."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(frame)
        await self._process.stdin.drain()
        head = await self._process.stdout.readexactly(wire.LENGTH_BYTES)
        return await self._process.stdout.readexactly(wire.length_of(head))

    def kill(self) -> None:
        if self.is_alive:
            self._process.kill()

    async def ended(self) -> None:
        await self._process.wait()


class Pool:
    """At most `WORKERS_MAX` workers, and a bounded line of requests before them."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._axon_workers = terms.axon_workers
        self._turn = asyncio.Semaphore(limits.WORKERS_MAX)
        self._free: list[Worker] = []
        self._all: set[Worker] = set()
        self._lines: dict[str, _Line] = {}
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, axon_id: str) -> AsyncIterator[None]:
        """Wait until this axon may run another request; TooBusy when that takes too long."""
        line = self._lines.setdefault(axon_id, _Line(self._axon_workers))
        if line.waiting >= limits.AXON_WAITING_MAX or self._waiting >= limits.WAITING_MAX:
            raise _busy()
        line.waiting += 1
        line.users += 1
        self._waiting += 1
        try:
            try:
                async with asyncio.timeout(limits.WAIT_SECONDS_MAX):
                    await line.turn.acquire()
                    try:
                        await self._turn.acquire()
                    except BaseException:
                        line.turn.release()
                        raise
            except TimeoutError:
                raise _busy() from None
            finally:
                line.waiting -= 1
                self._waiting -= 1
            try:
                yield
            finally:
                self._turn.release()
                line.turn.release()
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[axon_id]

    @asynccontextmanager
    async def quiet(self, axon_id: str) -> AsyncIterator[None]:
        """Within, no request of this axon runs. Each ends by itself in bounded time."""
        line = self._lines.setdefault(axon_id, _Line(self._axon_workers))
        line.users += 1
        try:
            async with line.alone:
                for _ in range(self._axon_workers):
                    await line.turn.acquire()
                try:
                    yield
                finally:
                    for _ in range(self._axon_workers):
                        line.turn.release()
        finally:
            line.users -= 1
            if not line.users:
                del self._lines[axon_id]

    async def ask(self, frame: bytes, attend: Attending) -> Reply:
        """Within a turn: some worker's answer."""
        worker = await self._take()
        try:
            reply = await worker.ask(frame, attend)
        except BaseException:
            # Half a conversation can not be gone on with.
            await self._end(worker)
            raise
        if worker.is_alive and reply.outcome is not Outcome.BROKEN:
            worker.idle_since = asyncio.get_running_loop().time()
            self._free.append(worker)
        else:
            await self._end(worker)
        return reply

    def end_idle(self) -> None:
        """End the workers that nobody needed lately."""
        oldest = asyncio.get_running_loop().time() - limits.IDLE_SECONDS_MAX
        for worker in [worker for worker in self._free if worker.idle_since <= oldest]:
            self._free.remove(worker)
            self._all.discard(worker)
            worker.kill()

    async def close(self) -> None:
        for worker in self._all:
            worker.kill()
        for worker in self._all:
            await worker.ended()

    async def _end(self, worker: Worker) -> None:
        """Once this returns it touches no file any more."""
        worker.kill()
        await worker.ended()
        self._all.discard(worker)

    async def _take(self) -> Worker:
        while self._free:
            worker = self._free.pop()
            if worker.is_alive:
                return worker
            self._all.discard(worker)
        worker = await Worker.start(self._terms)
        self._all.add(worker)
        return worker


class _Line:
    """Requests of one axon. `users` counts everyone who holds this, waiting or not."""

    def __init__(self, at_once: int) -> None:
        self.turn = asyncio.Semaphore(at_once)
        self.alone = asyncio.Lock()
        self.waiting = 0
        self.users = 0


def _busy() -> TooBusy:
    return TooBusy("More SQL waits to be run than may wait; send this again soon.")
