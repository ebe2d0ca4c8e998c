"""Agent runs: ask for a run, and follow its events until its terminal.

runs = Runs(AxonJournal(client, axon_id))
run = await runs.start("Fix the failing build.")
async for event in run.events:
    if event.type == "text_delta":
        print(event.data["delta"], end="")

Any agent protocol will do: the prompt is a `user.message`, which every broker understands. Only a
cancel needs to know the protocol.
"""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Final

from ranvier.events import AxonEvent, Origin, SystemEvent
from ranvier.journal import Journal, journal_of
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.answers import cancellation
from ranvier.views.payloads import object_of
from ranvier.views.run_events import RUN_TERMINALS, AgentRunEvent, RunEvents

SOURCE: Final = "ranvier-runs"

CONTEXT_EVENTS_MAX: Final = 1_000
"""Events before a run that are read to know the agent's name and whether the thread is resumed."""


class Runs:
    """The runs of one axon. `axon` is a Journal or an axon of Runloop's `AsyncRunloopSDK`.

    `protocol` is that of the axon's broker mount.
    """

    def __init__(self, axon: Any, protocol: AgentProtocol = AgentProtocol.ACP) -> None:
        self._journal = journal_of(axon)
        self._protocol = protocol

    async def start(
        self, prompt: str, *, source: str = SOURCE, request_id: str | None = None
    ) -> "RunHandle":
        """Ask for a run; it begins when the runs before it are over. A sleeping devbox wakes.

        Two calls with one `request_id` start one run.
        """
        sequence = await self._journal.publish(
            "user.message",
            {"content": prompt},
            source=source,
            request_id=request_id or f"ranvier-run-{uuid.uuid4()}",
        )
        return RunHandle(self._journal, sequence, self._protocol)

    def of(self, sequence: int) -> "RunHandle":
        """The run that the event with this sequence asked for, whatever its type."""
        return RunHandle(self._journal, sequence, self._protocol)

    async def follow(self, after_sequence: int = 0) -> AsyncGenerator[AgentRunEvent, None]:
        """The events of all runs that begin after a sequence, then those to come, for ever."""
        view = RunEvents()
        async with aclosing(self._journal.subscribe(after_sequence)) as events:
            async for event in events:
                for told in view.read(event):
                    yield told


class RunHandle:
    """One run, from the event that asked for it to its terminal."""

    def __init__(self, journal: Journal, trigger: int, protocol: AgentProtocol) -> None:
        self._journal = journal
        self._protocol = protocol
        self.trigger = trigger
        """Sequence of the event that asked for the run."""
        self.run_id: str | None = None
        """Known once the run has started."""

    @property
    def events(self) -> AsyncGenerator[AgentRunEvent, None]:
        """The run's events: `run_started` first, one terminal last. Each use begins anew."""
        return self._events()

    async def result(self) -> AgentRunEvent:
        """Wait for the run's end; returns its terminal event."""
        async for event in self.events:
            if event.type in RUN_TERMINALS:
                return event
        raise RuntimeError("the run's events ended without a terminal")  # the view forbids it

    async def text(self) -> str:
        """Wait for the run's end; returns what the agent said."""
        said = [e.data["delta"] async for e in self.events if e.type == "text_delta" and e.data]
        return "".join(said)

    async def cancel(self) -> None:
        """Cancel the run: when it has begun, unless its end was seen before."""
        async with aclosing(self.events) as events:
            await anext(events)
        event_type, payload = cancellation(self._protocol, f"client-{uuid.uuid4()}")
        await self._journal.publish(event_type, payload, source=SOURCE)

    async def _events(self) -> AsyncGenerator[AgentRunEvent, None]:
        view = RunEvents()
        begin = max(0, self.trigger - 1 - CONTEXT_EVENTS_MAX)
        async with aclosing(self._journal.subscribe(begin)) as events:
            async for event in events:
                told = view.read(event)
                if self.run_id is None:
                    self.run_id = self._started_by(event)
                for run_event in told:
                    if run_event.run_id != self.run_id:
                        continue
                    yield run_event
                    if run_event.type in RUN_TERMINALS:
                        return

    def _started_by(self, event: AxonEvent) -> str | None:
        """The turn that this event opens, if our trigger asked for it."""
        if event.origin is not Origin.SYSTEM or event.event_type != SystemEvent.TURN_STARTED:
            return None
        payload = object_of(event.payload)
        turn_id = payload.get("turn_id")
        is_ours = payload.get("trigger_sequence") == self.trigger
        return turn_id if is_ours and isinstance(turn_id, str) else None
