"""One port that speaks HTTP/1.1 and HTTP/2: the first bytes of a connection tell which.

uvicorn serves HTTP/1.1 with httptools on uvloop (asked for by name, so a missing wheel is an error
and not half the speed). A connection that begins with HTTP/2's preface goes to `http2.py`.
"""

import asyncio
import contextlib
import logging
import resource
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final, cast

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ranvier_apiserver import stalled
from ranvier_apiserver.http2 import Http2Protocol

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIRST_BYTES_SECONDS: Final = 30.0
"""A connection that says nothing for so long is closed."""

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of the published clients' pools, so they never meet a closing one."""

GRACE_SECONDS: Final = 5
"""How long requests under way may take at a stop; streams are ended at once."""

BACKLOG: Final = 2048
"""Connections that may wait to be accepted; a restart brings all clients back at once."""

log = logging.getLogger(__name__)


def allow_many_connections() -> None:
    """Each stream is an open file: take as many as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class SwitchProtocol(asyncio.Protocol):
    """Reads until it knows the protocol, then hands the connection over."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._arguments = (config, server_state, app_state, _loop)
        self._connections = server_state.connections
        self._loop = _loop or asyncio.get_running_loop()
        self._seen = b""
        self._transport: asyncio.Transport
        self._silent: asyncio.TimerHandle

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, but do not descend from them.
        self._transport = cast(asyncio.Transport, transport)
        self._silent = self._loop.call_later(FIRST_BYTES_SECONDS, transport.close)
        self._connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        self._silent.cancel()
        self._connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if len(self._seen) < len(PREFACE) and PREFACE.startswith(self._seen):
            return
        self.connection_lost(None)
        kind = Http2Protocol if self._seen.startswith(PREFACE) else Http1Protocol
        protocol = kind(*self._arguments)
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(self._seen)

    def shutdown(self) -> None:
        self._transport.close()


class Http1Protocol(HttpToolsProtocol):
    """uvicorn's, whose requests can also be dropped."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        stalled.offer(self.scope, self.transport.abort)  # type: ignore[arg-type]


class QuietServer(Server):
    """uvicorn's server without its signal handling, and with a word to the streams at a stop."""

    def __init__(self, config: Config, before_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_stop = before_stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_stop()
        await super().shutdown(sockets)


def server_for(app: ASGIApp, before_stop: Callable[[], None]) -> QuietServer:
    """A server that stops when its `should_exit` is set; `before_stop` ends endless answers."""
    config = Config(
        app,
        http=SwitchProtocol,
        loop="uvloop",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return QuietServer(config, before_stop)


@contextlib.asynccontextmanager
async def aside(app: ASGIApp, host: str, port: int | None) -> AsyncIterator[None]:
    """Serve something small on another port meanwhile; nothing when there is no port."""
    if port is None:
        yield
        return
    server = server_for(app, lambda: None)
    listener = listen(host, port)
    log.info("metrics", extra={"host": host, "port": listener.getsockname()[1]})
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            yield
        finally:
            server.should_exit = True


async def serve(app: ASGIApp, host: str, port: int, before_stop: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT."""
    server = server_for(app, before_stop)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    listener = listen(host, port)
    log.info("listening", extra={"host": host, "port": listener.getsockname()[1]})
    await server.serve(sockets=[listener])
    log.info("stopped")


def listen(host: str, port: int) -> socket.socket:
    """`::` means all addresses of both families, where the machine has both."""
    listener = _listen(host, port)
    # Connections inherit it. Only Linux has it.
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        limit = stalled.DEAD_SECONDS * 1000
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit)
    return listener


def _listen(host: str, port: int) -> socket.socket:
    if host == "::":
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True
            )
        except (OSError, ValueError):
            host = "0.0.0.0"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=BACKLOG)
