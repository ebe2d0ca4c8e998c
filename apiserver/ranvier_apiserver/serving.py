"""The server: uvicorn on uvloop, with protocols of our own (`connections.py`), and how it stops.

uvloop is asked for by name, so that a missing wheel is an error and not half the speed.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from starlette.types import ASGIApp
from uvicorn import Config, Server

from ranvier_apiserver import connections, stalled

KEEP_ALIVE_SECONDS: Final = 75
"""Longer than the idle time of the published clients' pools, so they never meet a closing one."""

GRACE_SECONDS: Final = 5
"""How long requests under way may take at a stop; streams are ended at once."""

BACKLOG: Final = 2048
"""Connections that may wait to be accepted; a restart brings all clients back at once."""

log = logging.getLogger(__name__)


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
        http=connections.SwitchProtocol,
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
