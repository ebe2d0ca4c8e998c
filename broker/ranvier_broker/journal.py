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
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ranvier.events import AxonEvent, Origin
from ranvier.sse import SseParser

from ranvier_broker import commands
from ranvier_broker.events import Appended, Attached
from ranvier_broker.http11 import HttpClient, HttpFailed
from ranvier_broker.journal_seam import Lost, Refused
from ranvier_broker.retrying import (
    ANSWER_SECONDS_MAX,
    PASSING_STATUSES,
    SILENCE_SECONDS_MAX,
    Delays,
    Passing,
    until_it_passes,
)
from ranvier_broker.settings import Settings

_INBOUND: Final = f"{Origin.USER},{Origin.EXTERNAL}"

log = logging.getLogger("ranvier_broker.journal")


class HttpJournal:
    """The `Journal` of the API server."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._http = HttpClient(settings.api_url, settings.authorization)

    def close(self) -> None:
        self._http.close()

    async def attach(self, index: int) -> Attached:
        request = {"generation": self._settings.generation, "pod_uid": self._settings.pod_uid}
        body = json.dumps(request).encode()

        async def try_once() -> Attached:
            # 404: the operator has not told the journal of this devbox yet.
            body_of_answer = await self._post(
                index, "attach", body, passing=PASSING_STATUSES | {404}
            )
            answer = json.loads(body_of_answer)
            cursors = int(answer["cursor"]), int(answer["control_cursor"])
            return Attached(int(answer["epoch"]), *cursors, dict(answer.get("state") or {}))

        return await until_it_passes("attach", try_once)

    async def append(self, index: int, append: commands.Append) -> Appended:
        body = _append_body(append)

        async def try_once() -> Appended:
            answer = json.loads(await self._post(index, "append", body, passing=PASSING_STATUSES))
            return Appended(append.batch, int(answer["first_sequence"]))

        return await until_it_passes("append", try_once)

    async def subscribe(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        delays = Delays()
        while True:
            try:
                async for event in self._stream(axon_id, after_sequence):
                    after_sequence = event.sequence
                    delays.reset()
                    yield event
                why = "the stream ended"
            except (HttpFailed, Passing, OSError) as error:
                why = repr(error)
            delay = delays.next()
            log.info("subscribing to %s again in %.1f s: %s", axon_id, delay, why)
            await asyncio.sleep(delay)

    async def _stream(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        url = f"/v1/axons/{quote(axon_id)}/subscribe/sse"
        url += f"?after_sequence={after_sequence}&origin={_INBOUND}"
        async with self._http.stream(url, SILENCE_SECONDS_MAX) as stream:
            if stream.status != HTTPStatus.OK:
                raise Passing(f"status {stream.status}")
            parser = SseParser()
            async for chunk in stream.chunks:
                for message in parser.feed(chunk):
                    if message.event != "message":
                        raise Passing(f"{message.event}: {message.data}")
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
            raise Passing(what)
        raise Refused(what)


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
        raise Passing(f"an unreadable event: {error!r}") from error
