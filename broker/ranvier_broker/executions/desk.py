"""The desk: performs what the book commands, and answers calls about executions.

Nothing is decided here. Who waits for an execution waits on its outputs, which wake at its end too.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ranvier_broker.bridge import Bridge
from ranvier_broker.executions import book, commands, events, frames, tails
from ranvier_broker.executions.book import Book
from ranvier_broker.executions.events import Execution, Phase
from ranvier_broker.executions.handles import Handles, News
from ranvier_broker.executions.shelf import Shelf
from ranvier_broker.feeding import Feed
from ranvier_broker.fifos import FifoWriter

STDIN_BACKLOG_BYTES_MAX: Final = 1024 * 1024
"""Bytes that a command has not taken from its stdin before no more are accepted."""

STDIN_SECONDS_MAX: Final = 20.0
"""How long a write waits for a command that does not read."""

STDIN_LOOK_SECONDS: Final = 0.02
"""How often it is looked whether a command has taken what comes before the end of its stdin."""

CANNOT_START_STATUS: Final = 126
"""Exit status of what could not be handed to the launcher, as a shell tells it."""

INSIST_SECONDS: Final = 0.5
"""Pause before what shall end and still runs is signalled again: a shell that got the signal
while it started a program waits for that program."""

INSIST_TIMES: Final = 5
"""Times that it is asked again; then it is killed."""

START_SECONDS_MAX: Final = 20.0
"""How long a start waits for the launcher's word."""

log = logging.getLogger("ranvier_broker.executions")


class Asleep(Exception):
    """It was asked for and given up: the devbox went to sleep first."""


class Desk:
    """All executions of this devbox. `report` tells the journal whether anything executes."""

    def __init__(
        self,
        shelf: Shelf,
        bridge: Bridge,
        now_ms: Callable[[], int],
        report: Callable[[bool], None],
    ) -> None:
        self._shelf = shelf
        self._bridge = bridge
        self._now_ms = now_ms
        self._tell = report
        self._book = Book(shelf.load())
        self._handles: dict[str, Handles] = {}
        self._news: defaultdict[str, News] = defaultdict(News)
        self._feed = Feed[events.Event, commands.Command](
            lambda event: self._book.handle(event, now_ms()), self._perform, self._settled
        )
        for execution in self._book.executions.values():
            if execution.phase is not Phase.WAITING:
                self._open(execution)
        bridge.listen_to_runs(self)

    def feed(self, event: events.Event) -> None:
        """Tell the book; perform what follows. Raises what the book raises."""
        self._feed(event)

    def _settled(self) -> None:
        for news in self._news.values():
            news.tell()

    # --- what the bridge says

    def run_started(self, run_id: str) -> None:
        self.feed(events.Started(run_id))

    def run_exited(self, run_id: str, status: int) -> None:
        self.feed(events.Exited(run_id, status))

    def runs_listed(self, run_ids: frozenset[str], listing: int) -> None:
        known = list(self._book.executions)
        told = {name: self._shelf.exit_status(name) for name in known}
        exits = {name: status for name, status in told.items() if status is not None}
        untouched = frozenset(name for name in known if self._shelf.is_untouched(name))
        self.feed(events.Listed(run_ids, listing, exits, untouched))

    # --- what the book commands

    def _perform(self, command: commands.Command) -> None:
        match command:
            case commands.Save(execution):
                try:
                    self._shelf.save(execution)
                except OSError as error:  # it runs all the same, unknown to the next sidecar
                    log.warning("a record was not kept: %r", error)
            case commands.Spawn(name):
                self._spawn(self._book.executions[name])
            case commands.Signal(name, signal):
                self._bridge.request(f"signal {name} {signal}")
            case commands.EndInput(name):
                self._end_input(name)
            case commands.Drain(name):
                size = self._handles[name].drain() if name in self._handles else 0
                self.feed(events.Drained(name, size))
            case commands.Release(name):
                if name in self._handles:
                    self._handles[name].close_stdin()
                self._shelf.release(name)
            case commands.Forget(name):
                self._close(name)
                self._shelf.remove(name)
                self._news.pop(name, News()).tell()
            case commands.Report(executing):
                self._tell(executing)

    def _spawn(self, execution: Execution) -> None:
        name = execution.execution_id
        try:
            self._shelf.lay_out(execution)
            self._close(name)
            self._open(execution)
        except OSError as error:
            log.warning("%s can not be started: %r", name, error)
            self.feed(events.Exited(name, CANNOT_START_STATUS))
        else:
            self.feed(events.Spawned(name, self._bridge.start_run(name)))

    def _open(self, execution: Execution) -> None:
        name = execution.execution_id
        self._handles[name] = Handles(self._shelf, execution, self._news[name])
        if execution.seconds_max and execution.is_open:
            self._insist_later(execution.seconds_max, name, INSIST_TIMES + 1)

    def _close(self, name: str) -> None:
        if handles := self._handles.pop(name, None):
            handles.close()

    def _end_input(self, name: str) -> None:
        if (handles := self._handles.get(name)) is None:
            return
        if handles.stdin is not None and handles.stdin.backlog:
            # What was accepted comes first; a command that ends meanwhile needs none of it.
            later = asyncio.get_running_loop().call_later
            later(STDIN_LOOK_SECONDS, self._end_input_later, name)
            return
        handles.close_stdin()
        self._bridge.request(f"eof {name}")

    def _end_input_later(self, name: str) -> None:
        known = self._book.executions.get(name)
        if known is not None and known.phase is Phase.RUNNING:
            self._end_input(name)

    def _insist_later(self, seconds: float, name: str, times: int) -> None:
        asyncio.get_running_loop().call_later(seconds, self._insist, name, times)

    def _insist(self, name: str, times: int) -> None:
        """End what was dropped, or is over its time: ask so many times, then kill."""
        known = self._book.executions.get(name)
        if known is None or not known.is_open:
            return
        self.feed(events.Signalled(name, "TERM" if times else "KILL"))
        if times:
            self._insist_later(INSIST_SECONDS, name, times - 1)

    # --- calls

    async def answer(self, call: frames.Call) -> dict[str, Any]:
        """The answer to a call; what goes wrong is an answer too."""
        try:
            return await self._answer(call)
        except KeyError:
            return frames.failed(
                "execution_not_found",
                "There is no such execution: it is too long ago, or the devbox slept since.",
            )
        except book.TooMany:
            return frames.failed(
                "too_busy", f"{book.OPEN_MAX} executions are under way; wait until one has ended."
            )
        except (book.Refused, Asleep):
            return frames.failed(
                "going_to_sleep", "The devbox is being suspended; resume it and try again."
            )
        except OSError as error:
            log.warning("a call failed: %r", error)
            return frames.failed("failed", f"The sidecar could not do it: {error.strerror}.")

    async def _answer(self, call: frames.Call) -> dict[str, Any]:
        match call:
            case frames.Start():
                return await self._start(call)
            case frames.State(name, last_n, wait_ms):
                await self._until(name, lambda known: not known.is_open, wait_ms / 1000)
                return self._state(name, last_n)
            case frames.Read():
                return await self._read(call)
            case frames.Write():
                return await self._write(call)
            case frames.Signal(name, signal):
                self._known(name)
                self.feed(events.Signalled(name, signal))
                return frames.done()
            case frames.Forget(name):
                self.feed(events.Dropped(name))
                self._insist_later(INSIST_SECONDS, name, INSIST_TIMES)
                return frames.done()
            case frames.ListAll():
                names = list(self._book.executions)
                return frames.done(executions=[self._brief(name) for name in names])

    async def _start(self, call: frames.Start) -> dict[str, Any]:
        name = call.execution_id
        if name not in self._book.executions:
            limits = call.output_bytes_max, call.seconds_max
            asked = Execution(name, call.script, call.has_stdin, *limits, title=call.title)
            self.feed(events.Asked(replace(asked, asked_ms=self._now_ms())))
        has_started = {Phase.RUNNING, Phase.ENDING, Phase.COMPLETED}
        try:
            await self._until(name, lambda known: known.phase in has_started, START_SECONDS_MAX)
        except KeyError:
            raise Asleep from None
        return self._state(name, 0)

    async def _read(self, call: frames.Read) -> dict[str, Any]:
        name, offset = call.execution_id, call.offset

        def has_news(known: Execution) -> bool:
            return not known.is_open or self._size(name, call.output) > offset

        await self._until(name, has_news, call.wait_ms / 1000)
        known = self._known(name)
        output = self._handles[name].outputs[call.output] if name in self._handles else None
        data = output.read(offset, call.bytes_max) if output else b""
        end = not known.is_open and offset + len(data) >= self._size(name, call.output)
        return frames.done(data=frames.encoded(data), end=end)

    async def _write(self, call: frames.Write) -> dict[str, Any]:
        known = self._known(call.execution_id)
        handles = self._handles.get(call.execution_id)
        if not known.is_open or handles is None or handles.stdin is None:
            why = "has ended" if not known.is_open else "has no open stdin"
            return frames.failed("stdin_closed", f"The execution {why}; nothing was written.")
        if call.key and call.key in handles.keys:
            return frames.done()
        if not await _has_room(handles.stdin):
            return frames.failed(
                "stdin_full", "The command does not read its stdin; try again when it does."
            )
        if call.data:
            handles.stdin.write(call.data)
        if call.key:
            handles.keys.append(call.key)
        if call.ends:
            self.feed(events.InputEnded(call.execution_id))
        return frames.done()

    async def _until(self, name: str, holds: Callable[[Execution], bool], seconds: float) -> None:
        """Wait for it, or for the time to be over. Raises KeyError when it is forgotten."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + seconds
        while not holds(self._known(name)) and (left := ends - loop.time()) > 0:
            await self._news[name].wait(left)

    def _known(self, name: str) -> Execution:
        return self._book.executions[name]

    def _size(self, name: str, output: str) -> int:
        return self._handles[name].outputs[output].size if name in self._handles else 0

    def _brief(self, name: str) -> dict[str, Any]:
        known = self._known(name)
        waits = known.phase in (Phase.WAITING, Phase.ASKED)
        status = "queued" if waits else "running" if known.is_open else "completed"
        exit_status = None if known.is_open else known.exit_status
        return {
            "execution_id": name,
            "status": status,
            "exit_status": exit_status,
            "title": known.title,
            "asked_ms": known.asked_ms,
            "ended_ms": known.ended_ms,
        }

    def _state(self, name: str, last_n: int) -> dict[str, Any]:
        body = self._brief(name)
        handles = self._handles.get(name)
        for output, collector in handles.outputs.items() if handles else ():
            tail, is_more = tails.last_lines(collector.read, collector.size, last_n)
            body[output] = frames.encoded(tail)
            body[f"{output}_bytes"] = collector.size
            body[f"{output}_truncated"] = is_more or collector.is_cut
        return frames.done(**body)


async def _has_room(stdin: FifoWriter) -> bool:
    """Whether the command has taken so much in time that more may be accepted."""
    ends = asyncio.get_running_loop().time() + STDIN_SECONDS_MAX
    while stdin.backlog > STDIN_BACKLOG_BYTES_MAX:
        if asyncio.get_running_loop().time() > ends:
            return False
        await asyncio.sleep(STDIN_LOOK_SECONDS)
    return True
