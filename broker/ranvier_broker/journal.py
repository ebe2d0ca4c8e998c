"""The journal over HTTP: attach, append and subscribe, tried for as long as it takes.

Whatever may pass (network, restarts, a token that is being replaced) is retried here with growing
distance; an append always under its number, so that it happens once. What will not pass is one of
two: `Lost` (this broker has no business any more) or `Refused` (it broke a rule, and must start
anew). Every wake waits for the first answer, so nothing heavy is imported: the JSON is made by
hand, and a test reads it with the SDK's wire models, so the two can not part.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import quote

from ranvier.events import AxonEvent, Origin
from ranvier.sse import SseParser

from ranvier_broker import commands
from ranvier_broker.events import Appended, Attached
from ranvier_broker.http11 import HttpClient, HttpFailed
from ranvier_broker.journal_seam import Lost, Refused
from ranvier_broker.settings import Settings

DELAY_SECONDS_FIRST: Final = 0.1
DELAY_SECONDS_MAX: Final = 5.0
"""Longest wait between two tries; a journal that is back is noticed within this time."""

ANSWER_SECONDS_MAX: Final = 30.0
SILENCE_SECONDS_MAX: Final = 35.0
"""Longest silence of a stream: the server sends a comment every 10 s."""

_PASSING: Final = frozenset({401, 403, 408, 425, 429})
"""Statuses that pass: the token is replaced in time, the identity becomes known, the rate falls."""

_INBOUND: Final = f"{Origin.USER},{Origin.EXTERNAL}"

log = logging.getLogger("ranvier_broker.journal")

T = TypeVar("T")


class HttpJournal:
    """The `Journal` of the API server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = HttpClient(settings.api_url, self._authorization)

    def close(self) -> None:
        self._http.close()

    def _authorization(self) -> str:
        """Bearer token from a file that is replaced from time to time."""
        return f"Bearer {self._settings.token_file.read_text().strip()}"

    async def attach(self, index: int) -> Attached:
        request = {"generation": self._settings.generation, "pod_uid": self._settings.pod_uid}
        body = json.dumps(request).encode()

        async def try_once() -> Attached:
            # 404: the operator has not told the journal of this devbox yet.
            body_of_answer = await self._post(index, "attach", body, passing=_PASSING | {404})
            answer = json.loads(body_of_answer)
            cursors = int(answer["cursor"]), int(answer["control_cursor"])
            return Attached(int(answer["epoch"]), *cursors, dict(answer.get("state") or {}))

        return await _until_it_passes("attach", try_once)

    async def append(self, index: int, append: commands.Append) -> Appended:
        body = _append_body(append)

        async def try_once() -> Appended:
            answer = json.loads(await self._post(index, "append", body, passing=_PASSING))
            return Appended(append.batch, int(answer["first_sequence"]))

        return await _until_it_passes("append", try_once)

    async def subscribe(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        delays = _Delays()
        while True:
            try:
                async for event in self._stream(axon_id, after_sequence):
                    after_sequence = event.sequence
                    delays.reset()
                    yield event
                why = "the stream ended"
            except (HttpFailed, _Passing, OSError) as error:
                why = repr(error)
            delay = delays.next()
            log.info("subscribing to %s again in %.1f s: %s", axon_id, delay, why)
            await asyncio.sleep(delay)

    async def _stream(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        url = f"/v1/axons/{quote(axon_id)}/subscribe/sse"
        url += f"?after_sequence={after_sequence}&origin={_INBOUND}"
        async with self._http.stream(url, SILENCE_SECONDS_MAX) as stream:
            if stream.status != HTTPStatus.OK:
                raise _Passing(f"status {stream.status}")
            parser = SseParser()
            async for chunk in stream.chunks:
                for message in parser.feed(chunk):
                    if message.event != "message":
                        raise _Passing(f"{message.event}: {message.data}")
                    yield _axon_event(message.data)

    async def _post(self, index: int, verb: str, body: bytes, passing: frozenset[int]) -> bytes:
        path = f"/internal/v1/devboxes/{quote(self._settings.devbox_uid)}/mounts/{index}/{verb}"
        answer = await self._http.post(path, body, ANSWER_SECONDS_MAX)
        status = answer.status
        if status == HTTPStatus.OK:
            return answer.body
        what = f"{verb}: status {status}: {answer.body[:300].decode(errors='replace')}"
        if status in (404, 409) and status not in passing:
            raise Lost(what)
        if status >= 500 or status in passing:
            raise _Passing(what)
        raise Refused(what)


class _Passing(Exception):
    """What failed may work when tried again."""


class _Delays:
    """Growing, scattered waits: many brokers must not come back in step."""

    def __init__(self) -> None:
        self._next = DELAY_SECONDS_FIRST

    def reset(self) -> None:
        self._next = DELAY_SECONDS_FIRST

    def next(self) -> float:
        delay, self._next = self._next, min(self._next * 2, DELAY_SECONDS_MAX)
        return delay * random.uniform(0.5, 1.0)


async def _until_it_passes(what: str, try_once: Callable[[], Awaitable[T]]) -> T:
    delays = _Delays()
    while True:
        try:
            return await try_once()
        except (HttpFailed, _Passing, OSError, ValueError, KeyError, TypeError) as error:
            delay = delays.next()
            log.warning("%s failed, again in %.1f s: %r", what, delay, error)
            await asyncio.sleep(delay)


def _append_body(append: commands.Append) -> bytes:
    """`AppendRequest` of the SDK."""
    events = []
    for event in append.events:
        if event.origin not in (Origin.AGENT, Origin.SYSTEM):
            raise Refused(f"a broker never publishes {event.origin}")
        events.append(
            {
                "origin": event.origin,
                "source": event.source,
                "event_type": event.event_type,
                "payload": event.payload,
            }
        )
    body = {
        "epoch": append.epoch,
        "batch": append.batch,
        "events": events,
        "cursor": append.cursor,
        "control_cursor": append.control_cursor,
        "state": append.state,
        "turn_marks": [_turn_mark(mark) for mark in append.marks],
    }
    return json.dumps(body, separators=(",", ":")).encode()


def _turn_mark(mark: commands.StartMark | commands.EndMark) -> dict[str, Any]:
    more: dict[str, Any] = {"kind": "ended"}
    if isinstance(mark, commands.StartMark):
        more = {"kind": "started", "trigger": mark.trigger}
    return {"turn_id": mark.turn_id, "event_index": mark.event_index, **more}


def _axon_event(data: str) -> AxonEvent:
    try:
        view = json.loads(data)
        return AxonEvent(
            axon_id=view["axon_id"],
            sequence=view["sequence"],
            timestamp_ms=view["timestamp_ms"],
            origin=Origin(view["origin"]),
            source=view["source"],
            event_type=view["event_type"],
            payload=view["payload"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise _Passing(f"an unreadable event: {error!r}") from error
