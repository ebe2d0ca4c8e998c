"""The journal over HTTP: attach, append and subscribe, tried for as long as it takes.

Whatever may pass (network, restarts, a token that is being replaced) is retried here with growing
distance; an append always under its number, so that it happens once. What will not pass is one of
two: `Lost` (this broker has no business any more) or `Refused` (it broke a rule, and must start
anew). httpx and the wire models take long to import: import this module beside the agent's start.
"""

import asyncio
import json
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import httpx
from ranvier import internal
from ranvier.events import AxonEvent, NewEvent, Origin
from ranvier.sse import SseParser

from ranvier_broker import commands
from ranvier_broker.events import Appended, Attached
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
        self._http = httpx.AsyncClient(
            base_url=settings.api_url,
            auth=_TokenFile(settings.token_file),
            timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=5.0),
            trust_env=False,
        )

    async def aclose(self) -> None:
        await self._http.aclose()

    async def attach(self, index: int) -> Attached:
        body = internal.AttachRequest(
            generation=self._settings.generation, pod_uid=self._settings.pod_uid
        )

        async def try_once() -> Attached:
            # 404: the operator has not told the journal of this devbox yet.
            response = await self._post(index, "attach", body, passing=_PASSING | {404})
            answer = internal.AttachAnswer.model_validate_json(response.content)
            return Attached(answer.epoch, answer.cursor, answer.control_cursor, answer.state)

        return await _until_it_passes("attach", try_once)

    async def append(self, index: int, append: commands.Append) -> Appended:
        body = internal.AppendRequest(
            epoch=append.epoch,
            batch=append.batch,
            events=[_append_event(event) for event in append.events],
            cursor=append.cursor,
            control_cursor=append.control_cursor,
            state=None if append.state is None else dict(append.state),
            turn_marks=[_turn_mark(mark) for mark in append.marks],
        )

        async def try_once() -> Appended:
            response = await self._post(index, "append", body, passing=_PASSING)
            answer = internal.AppendAnswer.model_validate_json(response.content)
            return Appended(append.batch, answer.first_sequence)

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
            except (httpx.HTTPError, _Passing) as error:
                why = repr(error)
            delay = delays.next()
            log.info("subscribing to %s again in %.1f s: %s", axon_id, delay, why)
            await asyncio.sleep(delay)

    async def _stream(self, axon_id: str, after_sequence: int) -> AsyncIterator[AxonEvent]:
        url = f"/v1/axons/{axon_id}/subscribe/sse"
        params = {"after_sequence": str(after_sequence), "origin": _INBOUND}
        timeout = httpx.Timeout(SILENCE_SECONDS_MAX, connect=5.0)
        async with self._http.stream("GET", url, params=params, timeout=timeout) as response:
            if response.status_code != httpx.codes.OK:
                raise _Passing(f"status {response.status_code}")
            parser = SseParser()
            async for chunk in response.aiter_bytes():
                for message in parser.feed(chunk):
                    if message.event != "message":
                        raise _Passing(f"{message.event}: {message.data}")
                    yield _axon_event(message.data)

    async def _post(
        self, index: int, verb: str, body: internal.Wire, passing: frozenset[int]
    ) -> httpx.Response:
        response = await self._http.post(
            f"/internal/v1/devboxes/{self._settings.devbox_uid}/mounts/{index}/{verb}",
            content=body.model_dump_json(),
            headers={"content-type": "application/json"},
        )
        status = response.status_code
        if status == httpx.codes.OK:
            return response
        what = f"{verb}: status {status}: {response.text[:300]}"
        if status in (404, 409) and status not in passing:
            raise Lost(what)
        if status >= 500 or status in passing:
            raise _Passing(what)
        raise Refused(what)


class _Passing(Exception):
    """What failed may work when tried again."""


class _TokenFile(httpx.Auth):
    """Bearer token from a file that is replaced from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def auth_flow(self, request: httpx.Request):  # type: ignore[no-untyped-def]
        request.headers["authorization"] = f"Bearer {self._path.read_text().strip()}"
        yield request


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
        except (httpx.HTTPError, _Passing, OSError, ValueError) as error:
            delay = delays.next()
            log.warning("%s failed, again in %.1f s: %r", what, delay, error)
            await asyncio.sleep(delay)


def _append_event(event: NewEvent) -> internal.AppendEvent:
    if event.origin not in (Origin.AGENT, Origin.SYSTEM):
        raise Refused(f"a broker never publishes {event.origin}")
    return internal.AppendEvent(
        origin=event.origin,
        source=event.source,
        event_type=event.event_type,
        payload=event.payload,
    )


def _turn_mark(mark: commands.StartMark | commands.EndMark) -> internal.TurnMark:
    if isinstance(mark, commands.StartMark):
        return internal.TurnStarted(
            turn_id=mark.turn_id, trigger=mark.trigger, event_index=mark.event_index
        )
    return internal.TurnEnded(turn_id=mark.turn_id, event_index=mark.event_index)


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
