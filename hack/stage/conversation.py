"""One client's side of an ACP conversation over an axon, through the published Runloop SDK.

Requests are published as USER_EVENTs; the answer to a request is the AGENT_EVENT of the same type.
Every event that passes is shown on the timeline.
"""

import asyncio
import json
import time
from types import TracebackType
from typing import Any

from runloop_api_client import AsyncRunloopSDK

from stage.timeline import Timeline

STEP_SECONDS_MAX = 120.0
SOURCE = "demo"


class StepTimedOut(Exception):
    """An awaited event did not come; the message names it."""


class Conversation:
    """Follows an axon from its beginning; a dropped stream is taken up at the last sequence."""

    def __init__(self, url: str, key: str, axon_id: str, timeline: Timeline) -> None:
        self._sdk = AsyncRunloopSDK(bearer_token=key, base_url=url, max_retries=8)
        self.axon = self._sdk.axon.from_id(axon_id)
        self.timeline = timeline
        self.events: list[Any] = []
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Conversation":
        self._reader = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._reader
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._sdk.aclose()

    async def _read(self) -> None:
        while True:
            try:
                await self._read_once()
            except Exception:  # a stream may end in many ways; the journal does not forget
                await asyncio.sleep(0.3)

    async def _read_once(self) -> None:
        after = self.events[-1].sequence if self.events else 0
        stream = await self.axon.subscribe_sse(extra_query={"after_sequence": after})
        async with stream:
            async for event in stream:
                self.timeline.show(event, time.monotonic())
                async with self._news:
                    self.events.append(event)
                    self._news.notify_all()

    async def publish(self, event_type: str, payload: dict[str, Any]) -> int:
        """Publish as the user; returns the event's sequence."""
        result = await self.axon.publish(
            source=SOURCE,
            event_type=event_type,
            origin="USER_EVENT",
            payload=json.dumps(payload),
        )
        return int(result.sequence)

    async def expect(
        self, event_type: str, after: int, origin: str = "", seconds: float = STEP_SECONDS_MAX
    ) -> Any:
        """The first event of this type after a sequence; StepTimedOut when it does not come."""

        def found() -> Any:
            return next(
                (
                    e
                    for e in self.events
                    if e.sequence > after
                    and e.event_type == event_type
                    and origin in ("", e.origin)
                ),
                None,
            )

        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(found)
        except TimeoutError as expired:
            raise StepTimedOut(
                f"no {event_type} after sequence {after} within {seconds:.0f} s"
            ) from expired
        return found()

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """An ACP request and its result."""
        sent = await self.publish(method, params)
        answer = await self.expect(method, sent, "AGENT_EVENT")
        result: dict[str, Any] = json.loads(answer.payload)
        return result

    async def prompt(self, session_id: str, text: str) -> int:
        """Publish a prompt; returns its sequence."""
        params = {"sessionId": session_id, "prompt": [{"type": "text", "text": text}]}
        return await self.publish("session/prompt", params)

    async def turn_end(self, trigger: int) -> Any:
        """The terminal event of the turn that this sequence triggered."""
        started = await self.expect("turn.started", trigger, "SYSTEM_EVENT")
        turn_id = json.loads(started.payload)["turn_id"]

        def ended() -> Any:
            return next(
                (
                    e
                    for e in self.events
                    if e.event_type in ("turn.completed", "turn.failed", "turn.cancelled")
                    and json.loads(e.payload).get("turn_id") == turn_id
                ),
                None,
            )

        try:
            async with asyncio.timeout(STEP_SECONDS_MAX), self._news:
                await self._news.wait_for(ended)
        except TimeoutError as expired:
            raise StepTimedOut(
                f"turn {turn_id} did not end in {STEP_SECONDS_MAX:.0f} s"
            ) from expired
        self.timeline.flush(time.monotonic())
        return ended()

    def text_after(self, sequence: int) -> str:
        """What the agent said after a sequence."""
        words = []
        for event in self.events:
            if event.sequence > sequence and event.event_type == "session/update":
                update = json.loads(event.payload)["update"]
                if update.get("sessionUpdate") == "agent_message_chunk":
                    words.append(update["content"].get("text", ""))
        return "".join(words)
