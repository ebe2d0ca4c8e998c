"""The asynchronous shell: performs calls with asyncio and httpx. What it does is decided elsewhere.

async with AsyncRanvier() as ranvier:
    axon = await ranvier.axons.create("fixer")
    await ranvier.axons.publish(axon.id, "user.message", {"content": "Fix the build."})
    async for event in ranvier.axons.subscribe(axon.id):
        print(event.sequence, event.event_type)
"""

import asyncio
import random
import uuid
from collections.abc import AsyncGenerator, Callable, Collection, Coroutine
from functools import wraps
from types import TracebackType
from typing import Any, Final, Generic, ParamSpec, Protocol, Self, overload

import httpx

from ranvier.client import axon_calls, devbox_calls, settings, transport
from ranvier.client.attempts import Attempts, Done
from ranvier.client.calls import Call, Result
from ranvier.client.tails import EventTail, Interrupted, Item, OutputTail, Tail
from ranvier.events import AxonEvent, Origin

P = ParamSpec("P")


class _Caller(Protocol):
    _client: "AsyncRanvier"


class _Performed(Generic[P, Result]):
    """A method made of a function that builds a call: same arguments, the result is awaited."""

    def __init__(self, build: Callable[P, Call[Result]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: _Caller, kind: type) -> Callable[P, Coroutine[Any, Any, Result]]: ...

    def __get__(
        self, owner: _Caller | None, kind: type
    ) -> Self | Callable[P, Coroutine[Any, Any, Result]]:
        if owner is None:
            return self
        client, build = owner._client, self._build

        @wraps(build)
        async def method(*args: P.args, **kwargs: P.kwargs) -> Result:
            return await client.perform(build(*args, **kwargs))

        return method


class AsyncSql:
    """`client.axons.sql`: the SQL database of an axon."""

    def __init__(self, client: "AsyncRanvier") -> None:
        self._client = client

    query: Final = _Performed(axon_calls.sql_query)
    batch: Final = _Performed(axon_calls.sql_batch)


class AsyncAxons:
    """`client.axons`."""

    def __init__(self, client: "AsyncRanvier") -> None:
        self._client = client
        self.sql = AsyncSql(client)

    create: Final = _Performed(axon_calls.create)
    retrieve: Final = _Performed(axon_calls.retrieve)
    list: Final = _Performed(axon_calls.list_axons)
    update: Final = _Performed(axon_calls.update)
    delete: Final = _Performed(axon_calls.delete)
    publish: Final = _Performed(axon_calls.publish)
    publish_many: Final = _Performed(axon_calls.publish_many)
    events: Final = _Performed(axon_calls.events)

    def subscribe(
        self,
        axon_id: str,
        after_sequence: int = 0,
        *,
        origins: Collection[Origin] | None = None,
        event_types: Collection[str] | None = None,
    ) -> "AsyncSubscription":
        """All events after a sequence, each once and in order, then those to come, for ever.

        Lost connections are made again and go on where they broke. Iterate it, at best inside
        `async with`, which closes its connection at once. Ends only by an error: `NotFound` when
        the axon is gone, `ConnectionFailed` when the first connection does not come about.
        """
        tries = self._client.settings.retries + 1
        tail = EventTail(axon_id, after_sequence, origins, event_types, tries_max=tries)
        return AsyncSubscription(self._client, tail)

    async def history(
        self, axon_id: str, after_sequence: int = 0
    ) -> AsyncGenerator[AxonEvent, None]:
        """The events after a sequence that stand now, oldest first; then it ends."""
        head = (await self.events(axon_id, limit=1, include_total_count=True)).total_count or 0
        if head <= after_sequence:
            return
        async with self.subscribe(axon_id, after_sequence) as events:
            async for event in events:
                yield event
                if event.sequence >= head:
                    return


class AsyncDevboxes:
    """`client.devboxes`."""

    def __init__(self, client: "AsyncRanvier") -> None:
        self._client = client

    create: Final = _Performed(devbox_calls.create)
    retrieve: Final = _Performed(devbox_calls.retrieve)
    list: Final = _Performed(devbox_calls.list_devboxes)
    wait_for_status: Final = _Performed(devbox_calls.wait_for_status)
    suspend: Final = _Performed(devbox_calls.suspend)
    resume: Final = _Performed(devbox_calls.resume)
    shutdown: Final = _Performed(devbox_calls.shutdown)
    keep_alive: Final = _Performed(devbox_calls.keep_alive)
    executions: Final = _Performed(devbox_calls.executions)
    execute_async: Final = _Performed(devbox_calls.execute_async)
    execution: Final = _Performed(devbox_calls.execution)
    logs: Final = _Performed(devbox_calls.logs)
    send_stdin: Final = _Performed(devbox_calls.send_stdin)
    kill: Final = _Performed(devbox_calls.kill)

    async def output(
        self,
        devbox_id: str,
        execution_id: str,
        output: devbox_calls.Output = "stdout",
        *,
        offset: int = 0,
    ) -> AsyncGenerator[str, None]:
        """What a command writes, from a byte on, until it has ended. Lost connections are made
        again and go on where they broke."""
        tries = self._client.settings.retries + 1
        tail = OutputTail(devbox_id, execution_id, output, offset, tries_max=tries)
        is_completed = False
        while not is_completed:
            # A stream may also end because the server does: what ends after the command is whole.
            is_completed = (await self.execution(devbox_id, execution_id)).is_completed
            async for text in self._client.stream(tail):
                yield text


class AsyncSubscription:
    """A running subscription: iterate it. `last_sequence` is where it would be resumed."""

    def __init__(self, client: "AsyncRanvier", tail: EventTail) -> None:
        self._tail = tail
        self._events = client.stream(tail)

    @property
    def last_sequence(self) -> int:
        return self._tail.last_sequence

    def __aiter__(self) -> AsyncGenerator[AxonEvent, None]:
        return self._events

    async def __anext__(self) -> AxonEvent:
        return await anext(self._events)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()


class AsyncRanvier:
    """A server, for asyncio. Arguments left out come from RANVIER_BASE_URL and RANVIER_API_KEY.

    `timeout_seconds` bounds one attempt, `retries` the attempts after the first. `http_transport`
    takes the place of httpx' own, for tests and for unusual networks.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout_seconds: float = settings.TIMEOUT_SECONDS,
        retries: int = settings.RETRIES,
        http_transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.settings: Final = settings.resolve(base_url, api_key, timeout_seconds, retries)
        self._http = httpx.AsyncClient(**transport.options(self.settings), transport=http_transport)
        self.axons: Final = AsyncAxons(self)
        self.devboxes: Final = AsyncDevboxes(self)

    async def aclose(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def perform(self, call: Call[Result]) -> Result:
        """Send a call until it is answered or given up."""
        attempts = Attempts(call, f"ranvier-{uuid.uuid4()}", self.settings.retries)
        while True:
            try:
                response = await self._http.request(**attempts.request)
            except httpx.RequestError as error:
                ours = transport.in_our_words(error, self.settings)
                again = attempts.unanswered(ours, random.random())
            else:
                outcome = attempts.answered(
                    response.status_code, response.headers, response.content, random.random()
                )
                if isinstance(outcome, Done):
                    return outcome.result
                again = outcome
            await asyncio.sleep(again.seconds)

    async def stream(self, tail: Tail[Item]) -> AsyncGenerator[Item, None]:
        """Deliver a stream over as many connections as it takes."""
        while True:
            try:
                async with self._http.stream(
                    "GET",
                    tail.path,
                    params=tail.query,
                    headers=transport.STREAM_HEADERS,
                    timeout=transport.STREAM_TIMEOUT,
                ) as response:
                    if response.status_code != 200:
                        body = await response.aread()
                        status, headers = response.status_code, response.headers
                        wait = tail.refused(status, headers, body, random.random())
                    else:
                        tail.opened()
                        async for chunk in response.aiter_bytes():
                            for item in tail.feed(chunk):
                                yield item
                        if tail.has_end:
                            return
                        wait = tail.ended(random.random())
            except Interrupted:
                wait = tail.ended(random.random())
            except httpx.RequestError as error:
                ours = transport.in_our_words(error, self.settings)
                wait = tail.failed(ours, random.random())
            await asyncio.sleep(wait)
