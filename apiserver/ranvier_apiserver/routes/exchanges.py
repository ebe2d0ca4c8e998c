"""Every HTTP request that came to its end, told to whoever counts or records them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ranvier_apiserver import audit
from ranvier_apiserver.audit_log import AuditLog
from ranvier_apiserver.clock import Clock
from ranvier_apiserver.hot_path import Headers, HotPath, Reply
from ranvier_apiserver.metrics import Metrics

NO_ROUTE: Final = "none"
CLIENT_GONE: Final = 499
"""No answer was begun: the client went away first (nginx's number for it)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and its answer; `seconds` until that was complete."""

    scope: Scope
    status: int
    seconds: float
    is_stream: bool

    @property
    def route(self) -> str:
        """The route as written, never the path: its values would be labels without end."""
        route = self.scope.get("route")
        return str(getattr(route, "path", None) or self.scope.get("route_template") or NO_ROUTE)


Listener = Callable[[Exchange], None]


class Exchanges:
    """Around the whole application."""

    def __init__(self, app: ASGIApp, listeners: Sequence[Listener]) -> None:
        self._app = app
        self._hot = app if isinstance(app, HotPath) else None
        self._listeners = listeners

    def take(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Implements `HotPath`."""
        if self._hot is None:
            return False
        began = time.perf_counter()

        def heard(status: int, answer: bytes, headers: Headers) -> None:
            reply(status, answer, headers)
            self._tell(Exchange(scope, status, time.perf_counter() - began, is_stream=False))

        return self._hot.take(scope, body, heard)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status, is_stream = CLIENT_GONE, False

        async def watch(message: Message) -> None:
            nonlocal status, is_stream
            if message["type"] == "http.response.start":
                status = message["status"]
                is_stream = (b"content-type", b"text/event-stream") in message["headers"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            self._tell(Exchange(scope, status, time.perf_counter() - began, is_stream))

    def _tell(self, done: Exchange) -> None:
        for listener in self._listeners:
            listener(done)


def measured(metrics: Metrics) -> Listener:
    """Counts them. Streams are left out: `ranvier_subscribers` counts those."""

    def count(done: Exchange) -> None:
        if not done.is_stream:
            metrics.requested(done.scope["method"], done.route, done.status, done.seconds)

    return count


def audited(log: AuditLog, clock: Clock) -> Listener:
    """Records those that may have written; what has no route can not have."""

    def record(done: Exchange) -> None:
        if (route := done.route) != NO_ROUTE:
            told = audit.entry(done.scope, route, done.status, done.seconds, clock())
            if told is not None:
                log.tell(told)

    return record
