"""What the connections to remote agents share: the stream, listeners, requests, questions.

A connection reads its axon once, in order. What stood there when it connected is replay: listeners
see it, handlers do not, except for questions that are still open when the replay is over.
"""

import asyncio
import inspect
import logging
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final, Self

from ranvier.client.errors import RanvierError
from ranvier.events import AxonEvent, Origin, SystemEvent
from ranvier.journal import journal_of
from ranvier.remote.errors import NotConnected, RequestFailed
from ranvier.remote.outcomes import Outcome, Outcomes
from ranvier.resources.mounts import AgentProtocol
from ranvier.views.payloads import object_of, text_at
from ranvier.views.protocols import USER_MESSAGE
from ranvier.views.timeline import TimelineEvent, timeline_event

ANSWER_SECONDS: Final = 120.0
"""How long a request that is no prompt waits for its answer."""

_log = logging.getLogger("ranvier.remote")

Listener = Callable[[Any], Awaitable[None] | None]


class AxonConnection:
    """Base of the connections. `axon` is a Journal or an axon of Runloop's `AsyncRunloopSDK`.

    `after_sequence`: where reading begins (0: the axon's beginning). `replay`: whether to read what
    stood there before; without it, and without `after_sequence`, reading begins at the head.
    `on_disconnect` is called once, when the connection ends, however it ends.
    """

    protocol: AgentProtocol
    source: str
    prompts: frozenset[str]
    """Event types that start turns, beside `user.message`."""
    turn_answer: str
    """Type of the agent's last word in a turn."""
    questions: frozenset[str]
    """Event types that agents send and users answer."""

    def __init__(
        self,
        axon: Any,
        devbox: Any = None,
        *,
        after_sequence: int | None = None,
        replay: bool = True,
        on_disconnect: Callable[[], Awaitable[None] | None] | None = None,
    ) -> None:
        self.journal = journal_of(axon)
        self.devbox = devbox
        self.last_sequence = after_sequence or 0
        self._after = after_sequence
        self._replay = replay
        self._on_disconnect = on_disconnect
        starters = self.prompts | {USER_MESSAGE}
        self._outcomes = Outcomes(starters, self.turn_answer, self.questions)
        self._waiting: dict[int, asyncio.Future[Outcome]] = {}
        self._timeline: list[Listener] = []
        self._events: list[Listener] = []
        self._open_questions: dict[str, AxonEvent] = {}
        self._answering: set[asyncio.Future[None]] = set()
        self._reader: asyncio.Future[None] | None = None
        self._head = 0
        self._closed = asyncio.Event()
        self._set_up()

    def _set_up(self) -> None:
        """Make what a protocol's connection keeps besides."""

    # --- listening

    def on_timeline_event(self, listener: Callable[[TimelineEvent], Any]) -> None:
        """Call for every event of the timeline, in order; a coroutine is awaited."""
        self._timeline.append(listener)

    def on_axon_event(self, listener: Callable[[AxonEvent], Any]) -> None:
        """Call for every event of the axon, in order; a coroutine is awaited."""
        self._events.append(listener)

    async def receive_timeline_events(self) -> AsyncGenerator[TimelineEvent, None]:
        """The timeline from where this connection began, then live, until it is closed.

        It reads the axon by itself, so it may be slow, and may stop in the middle of a prompt.
        """
        closed = asyncio.ensure_future(self._closed.wait())
        try:
            async with aclosing(self.journal.subscribe(self._begin)) as events:
                while True:
                    coming = asyncio.ensure_future(anext(events))
                    await asyncio.wait({coming, closed}, return_when=asyncio.FIRST_COMPLETED)
                    if not coming.done():
                        coming.cancel()
                        await asyncio.gather(coming, return_exceptions=True)
                        return
                    yield timeline_event(coming.result(), self.protocol)
        finally:
            closed.cancel()

    # --- life

    async def connect(self) -> None:
        """Begin to read; returns when the replay is over."""
        if self._reader is not None:
            raise NotConnected("This connection was used before.", "Make a new one.")
        self._head = await self.journal.head()
        self._begin = (self._after or 0) if self._replay or self._after is not None else self._head
        self.last_sequence = self._begin
        replayed = asyncio.get_running_loop().create_future()
        # A connection outlives the call that opens it, so no task group can hold its reader; it is
        # kept here, its error reaches every call that waits, and `disconnect` awaits it.
        self._reader = asyncio.ensure_future(self._read(replayed))
        await asyncio.wait({replayed, self._reader}, return_when=asyncio.FIRST_COMPLETED)
        if self._reader.done():
            await self._end()
            self._reader.result()

    async def disconnect(self) -> None:
        """Stop reading. Requests that wait fail with NotConnected; the agent is not stopped."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._end()

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.disconnect()

    # --- for the protocols

    async def _request(
        self, event_type: str, payload: Any, seconds: float | None = ANSWER_SECONDS
    ) -> Outcome:
        """Publish and wait for the outcome. Raises RequestFailed, NotConnected, TimeoutError."""
        sequence = await self._publish(event_type, payload)
        outcome = self._outcomes.take(sequence)
        if outcome is None:
            future = asyncio.get_running_loop().create_future()
            self._waiting[sequence] = future
            try:
                async with asyncio.timeout(seconds):
                    outcome = await future
            finally:
                self._waiting.pop(sequence, None)
        if outcome.error is not None:
            raise RequestFailed(event_type, outcome.error, outcome.reason)
        return outcome

    async def _publish(self, event_type: str, payload: Any) -> int:
        if self._reader is None or self._closed.is_set():
            raise NotConnected("The connection is not open.", "Call connect() first.")
        request_id = f"ranvier-remote-{uuid.uuid4()}"
        return await self.journal.publish(
            event_type, payload, source=self.source, request_id=request_id
        )

    def _question_key(self, event: AxonEvent) -> str | None:
        """What tells the question apart when the agent asks something; None: it asks nothing."""
        raise NotImplementedError

    def _settled_key(self, event: AxonEvent) -> str | None:
        """The question that this event answers or withdraws."""
        raise NotImplementedError

    async def _answer(self, event: AxonEvent) -> None:
        """Let the handler answer a question, if there is one."""
        raise NotImplementedError

    # --- reading

    async def _read(self, replayed: asyncio.Future[None]) -> None:
        try:
            if self._begin >= self._head:
                replayed.set_result(None)
            async with aclosing(self.journal.subscribe(self._begin)) as events:
                async for event in events:
                    await self._take(event)
                    if event.sequence == self._head:
                        for asked in self._open_questions.values():
                            self._ask(asked)
                        if not replayed.done():
                            replayed.set_result(None)
        except Exception:
            await self._end()
            raise

    async def _take(self, event: AxonEvent) -> None:
        self.last_sequence = event.sequence
        self._outcomes.read(event)
        for listener in self._events:
            await _call(listener, event)
        shown = timeline_event(event, self.protocol)
        for listener in self._timeline:
            await _call(listener, shown)
        self._follow_questions(event)
        for sequence in list(self._waiting):
            outcome = self._outcomes.take(sequence)
            if outcome is not None and not self._waiting[sequence].done():
                self._waiting[sequence].set_result(outcome)
        if event.origin is Origin.SYSTEM and event.event_type == SystemEvent.BROKER_ERROR:
            why = text_at(object_of(event.payload), "message") or event.payload
            self._fail_all(RequestFailed("broker.error", why, "broker_error"))

    def _follow_questions(self, event: AxonEvent) -> None:
        if (key := self._settled_key(event)) is not None:
            self._open_questions.pop(key, None)
        elif event.origin is Origin.AGENT and (key := self._question_key(event)) is not None:
            self._open_questions[key] = event
            if event.sequence > self._head:
                self._ask(event)
        elif event.origin is Origin.SYSTEM and event.event_type.startswith("turn."):
            self._open_questions.clear()

    def _ask(self, event: AxonEvent) -> None:
        task = asyncio.ensure_future(self._answer_safely(event))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer_safely(self, event: AxonEvent) -> None:
        try:
            await self._answer(event)
        except Exception:
            # The question stays open: another client, or a person, may answer it.
            _log.exception("The handler of %s failed", event.event_type)

    async def _end(self) -> None:
        if self._closed.is_set():
            return
        self._closed.set()
        for task in self._answering:
            task.cancel()
        self._fail_all(NotConnected("The connection is closed.", "Connect again; nothing is lost."))
        if self._on_disconnect is not None:
            await _call(lambda _: self._on_disconnect and self._on_disconnect(), None)

    def _fail_all(self, error: RanvierError) -> None:
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)


async def _call(listener: Listener, value: Any) -> None:
    told = listener(value)
    if inspect.isawaitable(told):
        await told
