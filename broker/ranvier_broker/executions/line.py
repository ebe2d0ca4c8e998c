"""The line to the API server: calls come on a stream that the sidecar opens, answers are posted.

The sidecar dials, so a devbox listens on nothing and needs no address; whoever guards its network
has only one way to allow. A line that breaks is opened again at once; the API server asks again
what was not answered, and every call may be asked twice.
"""

import asyncio
import json
import logging
from typing import Any, Final
from urllib.parse import quote

from ranvier.sse import SseParser

from ranvier_broker.executions import events, frames
from ranvier_broker.executions.desk import Desk
from ranvier_broker.http11 import HttpClient, HttpFailed
from ranvier_broker.journal_seam import Lost
from ranvier_broker.retrying import (
    ANSWER_SECONDS_MAX,
    SILENCE_SECONDS_MAX,
    Delays,
    Passing,
    judge,
    until_it_passes,
)
from ranvier_broker.settings import Settings

DELAY_SECONDS_MAX: Final = 1.0
"""Longest wait before the line is tried again: somebody's call waits for it."""

CALLS_MAX: Final = 256
"""Calls at once; more wait on the line."""

ANSWER_TRIES: Final = 3
"""A connection that was kept open may be closed by the other side just now."""

log = logging.getLogger("ranvier_broker.executions")


class Line:
    """Connects a desk to the API server."""

    def __init__(self, settings: Settings, group: asyncio.TaskGroup) -> None:
        self._settings = settings
        self._group = group
        self.http = HttpClient(settings.api_url, settings.authorization)
        self._base = f"/internal/v1/devboxes/{quote(settings.devbox_uid)}"
        self._room = asyncio.Semaphore(CALLS_MAX)
        self._desk: Desk | None = None

    def report(self, executing: bool) -> None:
        """Tell the journal; the desk hears of it when it is on disk."""
        self._group.create_task(self._report(executing))

    async def run(self, desk: Desk) -> None:
        """Serve until cancelled, or until the devbox was put to sleep."""
        self._desk = desk
        desk.feed(events.Begun())
        delays = Delays(DELAY_SECONDS_MAX)
        try:
            while True:
                try:
                    await self._serve(desk, delays)
                    why = "the stream ended"
                except (HttpFailed, Passing, OSError) as error:
                    why = repr(error)
                delay = delays.next()
                log.info("opening the line again in %.1f s: %s", delay, why)
                await asyncio.sleep(delay)
        except Lost as lost:
            log.info("the line is lost: %s", lost)
            desk.feed(events.Fenced())

    def close(self) -> None:
        self.http.close()

    async def _serve(self, desk: Desk, delays: Delays) -> None:
        path = f"{self._base}/calls?generation={self._settings.generation}"
        async with self.http.stream(path, SILENCE_SECONDS_MAX) as stream:
            judge("calls", stream.status)
            parser = SseParser()
            async for chunk in stream.chunks:
                delays.reset()
                for message in parser.feed(chunk):
                    await self._room.acquire()
                    self._group.create_task(self._answer(desk, message.data))

    async def _answer(self, desk: Desk, data: str) -> None:
        try:
            try:
                number, call = frames.parse(data)
                answer = await desk.answer(call)
            except frames.BadCall as error:
                log.warning("%s", error)
                number, answer = frames.number_of(data), frames.failed("bad_call", str(error))
            await self._post_answer(f"calls/{quote(number)}", answer)
        finally:
            self._room.release()

    async def _post_answer(self, path: str, answer: dict[str, Any]) -> None:
        """Tried a few times; then the API server asks again, or its caller does."""
        for _ in range(ANSWER_TRIES):
            try:
                await self._post(path, answer)
                return
            except HttpFailed as error:
                log.info("an answer did not get through: %r", error)

    async def _post(self, what: str, body: dict[str, Any]) -> int:
        answer = await self.http.post(
            f"{self._base}/{what}", json.dumps(body).encode(), ANSWER_SECONDS_MAX
        )
        return answer.status

    async def _report(self, executing: bool) -> None:
        body = {"generation": self._settings.generation, "executing": executing}

        async def try_once() -> None:
            judge("executing", await self._post("executing", body))

        try:
            await until_it_passes("telling what executes", try_once)
        except Lost as lost:
            log.info("nothing more is executed: %s", lost)
            if self._desk is not None:
                self._desk.feed(events.Fenced())
        else:
            if self._desk is not None:
                self._desk.feed(events.Told(executing))
