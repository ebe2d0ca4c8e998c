"""Somebody who follows an axon: publishes on it, sees all that stands there, waits for events.

The axon may be served by a process of this machine or by a cluster. Waits are bounded by one limit,
and what fails shows the whole axon.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

import httpx
from ranvier.events import TURN_TERMINALS, AxonEvent, Origin
from ranvier.sse import SseParser

FACT_SECONDS_MAX = 60.0
"""Reached by failures alone; where ten programs want each core, a start takes long."""

Event = dict[str, Any]


def payload(event: Event) -> Any:
    return json.loads(event["payload"])


def as_event(event: Event) -> AxonEvent:
    known = (event["axon_id"], event["sequence"], event["timestamp_ms"], Origin(event["origin"]))
    return AxonEvent(*known, event["source"], event["event_type"], event["payload"])


@dataclass(kw_only=True)
class AxonClient:
    """One axon, followed from its beginning; a stream that breaks is taken up where it broke."""

    url: str = ""
    api_key: str = ""
    axon_id: str = ""
    work_folder: str = "/home/user"
    """Where the agent's sessions are opened: a folder of the devbox."""
    seconds_max: float = FACT_SECONDS_MAX
    events: list[Event] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._connect()
        self._follow()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    def _connect(self) -> None:
        self.http = httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=15)

    def _follow(self) -> None:
        self._news = asyncio.Condition()
        self._of_type: dict[str, list[Event]] = {}
        self._watching = asyncio.ensure_future(self._watch())

    async def _leave(self) -> None:
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)
        await self.http.aclose()

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    async def publish(
        self, event_type: str, value: Any, origin: str = "USER_EVENT", axon_id: str = ""
    ) -> int:
        """Publish an event, on this axon where none is named; return its sequence."""
        text = value if isinstance(value, str) else json.dumps(value)
        body = {"event_type": event_type, "origin": origin, "source": "test", "payload": text}
        url = f"/v1/axons/{axon_id or self.axon_id}/publish"
        answer = await self.http.post(url, json=body, headers=self._headers)
        assert answer.status_code == 200, answer.text
        return int(answer.json()["sequence"])

    async def _watch(self) -> None:
        while True:
            after = self.events[-1]["sequence"] if self.events else 0
            url = f"/v1/axons/{self.axon_id}/subscribe/sse?after_sequence={after}"
            try:
                async with self.http.stream("GET", url, headers=self._headers) as response:
                    parser = SseParser()
                    async for chunk in response.aiter_bytes():
                        async with self._news:
                            for message in parser.feed(chunk):
                                self._take(json.loads(message.data))
                            self._news.notify_all()
            except httpx.HTTPError:
                await asyncio.sleep(0.05)

    def _take(self, event: Event) -> None:
        self.events.append(event)
        if event["origin"] not in ("USER_EVENT", "EXTERNAL_EVENT"):
            self._of_type.setdefault(event["event_type"], []).append(event)

    async def until(self, what: str, holds: Callable[[], Any]) -> Any:
        """Wait until the axon makes it true; the failure shows the axon."""
        try:
            async with asyncio.timeout(self.seconds_max), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            raise AssertionError(f"{what}:\n{self.told()}\n{self.log}") from None
        return holds()

    def of_type(self, event_type: str) -> list[Event]:
        """Such events of the broker or the agent, so far."""
        return self._of_type.get(event_type, [])

    def find(self, event_type: str, after: int = 0, **members: Any) -> Event | None:
        """The first such event after a sequence whose payload has these members."""
        for event in self.of_type(event_type):
            if event["sequence"] <= after:
                continue
            if not members or members.items() <= payload(event).items():
                return event
        return None

    def at(self, sequence: int) -> Event | None:
        """The event of this sequence, once it was seen."""
        return self.events[sequence - 1] if len(self.events) >= sequence else None

    async def seen(self, event_type: str, after: int = 0, **members: Any) -> Event:
        """Wait for such an event of the broker or the agent."""
        what = f"no {event_type} {members or ''} after {after}"
        event: Event = await self.until(what, lambda: self.find(event_type, after, **members))
        return event

    async def ended(self, trigger: int) -> Event:
        """Wait for the end of the turn that this event started."""
        started = await self.seen("turn.started", trigger, trigger_sequence=trigger)
        turn_id = payload(started)["turn_id"]

        def find() -> Event | None:
            for kind in TURN_TERMINALS:
                if event := self.find(kind, trigger, turn_id=turn_id):
                    return event
            return None

        event: Event = await self.until(f"the turn of {trigger} has no end", find)
        return event

    async def completed(self, trigger: int) -> Event:
        """The same, and see that it was a good one."""
        end = await self.ended(trigger)
        assert end["event_type"] == "turn.completed", self.told()
        return end

    async def axon(self, axon_id: str, until: str) -> list[Event]:
        """The events of another axon, read until one of this type."""
        url = f"/v1/axons/{axon_id}/subscribe/sse"
        found: list[Event] = []
        async with (
            asyncio.timeout(self.seconds_max),
            self.http.stream("GET", url, headers=self._headers) as response,
        ):
            parser = SseParser()
            async for chunk in response.aiter_bytes():
                events = [json.loads(message.data) for message in parser.feed(chunk)]
                found += events
                if any(event["event_type"] == until for event in events):
                    return found
        raise AssertionError(f"no {until} on {axon_id}")

    def text(self, after: int, before: int) -> str:
        """What the agent said between two sequences."""
        updates = [
            payload(event)["update"]
            for event in self.events
            if event["event_type"] == "session/update" and after < event["sequence"] < before
        ]
        chunks = [u for u in updates if u["sessionUpdate"] == "agent_message_chunk"]
        return "".join(chunk["content"].get("text", "") for chunk in chunks)

    @property
    def log(self) -> str:
        """What else a failure shows; nothing where only the axon is known."""
        return ""

    @property
    def journal(self) -> list[AxonEvent]:
        """What was seen of the axon, in the words that everybody shares."""
        return [as_event(event) for event in self.events]

    def told(self) -> str:
        """The axon, for people."""
        return "\n".join(
            f"{e['sequence']:4} {e['origin']:14} {e['event_type']:26} {e['payload'][:110]}"
            for e in self.events
        )

    # --- what an ACP client does

    async def greet(self) -> str:
        """initialize and session/new; return the session's id."""
        sent = await self.publish("initialize", {"protocolVersion": 1, "clientCapabilities": {}})
        params = {"cwd": self.work_folder, "mcpServers": []}
        await self.publish("session/new", params)
        await self.seen("initialize", sent)
        return str(payload(await self.seen("session/new", sent))["sessionId"])

    async def prompt(self, session_id: str, text: str) -> int:
        blocks = [{"type": "text", "text": text}]
        return await self.publish("session/prompt", {"sessionId": session_id, "prompt": blocks})

    async def cancel(self, session_id: str) -> int:
        return await self.publish("session/cancel", {"sessionId": session_id})
