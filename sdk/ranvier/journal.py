"""An axon as the views need it: publish, read on from a sequence, ask for the head.

`Journal` is the seam. `AxonJournal` stands on Ranvier's client; `RunloopJournal` on an axon object
of Runloop's published Python SDK, whose streams do not resume by themselves, so it resumes them.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, Protocol, runtime_checkable

import httpx

from ranvier.client.aio import AsyncRanvier
from ranvier.client.retries import backoff, is_retryable
from ranvier.events import AxonEvent, Origin


@runtime_checkable
class Journal(Protocol):
    """One axon. Sequences count from 1; `subscribe` goes on for ever and resumes by itself."""

    @property
    def axon_id(self) -> str:
        """The axon's id."""
        ...

    async def publish(
        self,
        event_type: str,
        payload: Any,
        *,
        origin: Origin = Origin.USER,
        source: str,
        request_id: str | None = None,
    ) -> int:
        """Append an event and return its sequence; with one `request_id` it is appended once."""
        ...

    def subscribe(self, after_sequence: int = 0) -> AsyncGenerator[AxonEvent, None]:
        """The events after a sequence, each once and in order, then those to come."""
        ...

    async def head(self) -> int:
        """The sequence of the last event, 0 when there is none."""
        ...


class AxonJournal:
    """An axon, reached through Ranvier's client."""

    def __init__(self, client: AsyncRanvier, axon_id: str) -> None:
        self._client = client
        self._axon_id = axon_id

    @property
    def axon_id(self) -> str:
        return self._axon_id

    async def publish(
        self,
        event_type: str,
        payload: Any,
        *,
        origin: Origin = Origin.USER,
        source: str,
        request_id: str | None = None,
    ) -> int:
        published = await self._client.axons.publish(
            self._axon_id, event_type, payload, origin=origin, source=source, request_id=request_id
        )
        return published.sequence

    async def subscribe(self, after_sequence: int = 0) -> AsyncGenerator[AxonEvent, None]:
        async with self._client.axons.subscribe(self._axon_id, after_sequence) as events:
            async for event in events:
                yield event

    async def head(self) -> int:
        page = await self._client.axons.events(self._axon_id, limit=1, include_total_count=True)
        return page.total_count or 0


class RunloopAxon(Protocol):
    """What is used of an axon object of Runloop's SDK (`AsyncRunloopSDK().axon`)."""

    @property
    def id(self) -> str: ...

    async def publish(self, **params: Any) -> Any: ...

    async def subscribe_sse(self, **options: Any) -> Any: ...


class RunloopJournal:
    """An axon, reached through an axon object of Runloop's published SDK."""

    def __init__(self, axon: RunloopAxon) -> None:
        self._axon = axon

    @property
    def axon_id(self) -> str:
        return self._axon.id

    async def publish(
        self,
        event_type: str,
        payload: Any,
        *,
        origin: Origin = Origin.USER,
        source: str,
        request_id: str | None = None,
    ) -> int:
        text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
        options = {"idempotency_key": request_id} if request_id else {}
        published = await self._axon.publish(
            event_type=event_type, payload=text, origin=origin.value, source=source, **options
        )
        return int(published.sequence)

    async def subscribe(self, after_sequence: int = 0) -> AsyncGenerator[AxonEvent, None]:
        last, tries = after_sequence, 0
        while True:
            try:
                async for event in self._stream(last):
                    last, tries = event.sequence, 0
                    yield event
            except httpx.TransportError:
                pass  # the read timed out, or the connection broke: go on where it was
            except Exception as error:
                if not _may_pass(error):
                    raise
            await asyncio.sleep(backoff(tries, random.random()))
            tries += 1

    async def _stream(self, after_sequence: int) -> AsyncIterator[AxonEvent]:
        query = {"after_sequence": after_sequence} if after_sequence else {}
        async with await self._axon.subscribe_sse(extra_query=query) as stream:
            async for view in stream:
                if view.sequence > after_sequence:
                    yield AxonEvent(
                        axon_id=view.axon_id,
                        sequence=view.sequence,
                        timestamp_ms=view.timestamp_ms,
                        origin=Origin(view.origin),
                        source=view.source,
                        event_type=view.event_type,
                        payload=view.payload,
                    )

    async def head(self) -> int:
        client: Any = self._axon._client  # type: ignore[attr-defined]  # the wrapper shows no events
        page = await client.axons.events.list(
            self._axon.id, limit=1, extra_query={"include_total_count": "true"}
        )
        return int(page.total_count or 0)


def journal_of(axon: Any, client: AsyncRanvier | None = None) -> Journal:
    """The journal of whatever stands for an axon.

    A `Journal`; an axon object of Runloop's asynchronous SDK; or, together with a `client`, an id
    or an object that has one. Raises TypeError for anything else.
    """
    if isinstance(axon, Journal):
        return axon
    if hasattr(axon, "subscribe_sse"):
        return RunloopJournal(axon)
    axon_id = axon if isinstance(axon, str) else getattr(axon, "id", None)
    if client is not None and isinstance(axon_id, str):
        return AxonJournal(client, axon_id)
    raise TypeError(
        f"{type(axon).__name__} is no axon. Pass AxonJournal(client, axon_id), or an axon of "
        "Runloop's AsyncRunloopSDK."
    )


def _may_pass(error: Exception) -> bool:
    """Whether an error of Runloop's SDK is worth another try; its classes are not imported here."""
    status = getattr(error, "status_code", None)
    if isinstance(status, int):
        return is_retryable(status, {})
    return type(error).__name__ in ("APIConnectionError", "APITimeoutError")
