"""Measures every HTTP request, and serves what was measured on a port of its own."""

import time

from prometheus_client import make_asgi_app
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ranvier_apiserver.metrics import Metrics

NO_ROUTE = "none"
CLIENT_GONE = 499
"""No answer was begun: the client went away first (nginx's number for it)."""


class Measured:
    """Around the whole application. Streams are left out: `ranvier_subscribers` counts them."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        code, is_stream = CLIENT_GONE, False

        async def watch(message: Message) -> None:
            nonlocal code, is_stream
            if message["type"] == "http.response.start":
                code = message["status"]
                is_stream = (b"content-type", b"text/event-stream") in message["headers"]
            await send(message)

        began = time.perf_counter()
        try:
            await self._app(scope, receive, watch)
        finally:
            if not is_stream:
                seconds = time.perf_counter() - began
                self._metrics.requested(scope["method"], route_of(scope), code, seconds)


def route_of(scope: Scope) -> str:
    """The route as written, never the path: its values would be labels without end."""
    route = scope.get("route")
    return str(getattr(route, "path", None) or scope.get("route_template") or NO_ROUTE)


def metrics_app(metrics: Metrics) -> ASGIApp:
    """GET anything: the exposition. It has no key, so it is not on the port of the API."""
    app: ASGIApp = make_asgi_app(metrics.registry)
    return app
