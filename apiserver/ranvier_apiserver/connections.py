"""One port that speaks HTTP/1.1 and HTTP/2: the first bytes of a connection tell which.

HTTP/1.1 is uvicorn's (`http1.py`); a connection that begins with HTTP/2's preface goes to
`http2.py`. There are so many connections and no more, and each must say something in time.
"""

import asyncio
import logging
import resource
from typing import Any, ClassVar, Final, cast

from uvicorn import Config
from uvicorn.server import ServerState

from ranvier_apiserver.http1 import Http1Protocol
from ranvier_apiserver.http2 import Http2Protocol

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FIRST_BYTES_SECONDS: Final = 30.0
"""A connection that says nothing for so long is closed."""

CONNECTIONS_MAX: Final = 24_000
"""Of all clients together; more than the streams that there may be (`tail.FOLLOWERS_MAX`)."""

RESERVED_FILES: Final = 256
"""Open files that connections never take: the journal, SQL workers and logs need theirs."""

REFUSAL_LOG_SECONDS: Final = 10.0

FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\n"
    b"retry-after: 1\r\nretry-after-ms: 1000\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%s"
)
FULL_BODY: Final = (
    b'{"code":"too_busy","message":"This server has as many connections as it takes; close some'
    b' and try again."}'
)

log = logging.getLogger(__name__)


def connections_max() -> int:
    """As many as this process may have open files for, within `CONNECTIONS_MAX`."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(CONNECTIONS_MAX, max(1, files - RESERVED_FILES))


def allow_many_connections() -> None:
    """Each connection is an open file: take as many as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class SwitchProtocol(asyncio.Protocol):
    """Reads until it knows the protocol, then hands the connection over."""

    _silent_until: ClassVar[float] = 0.0

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
        self._silent: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, but do not descend from them.
        self._transport = cast(asyncio.Transport, transport)
        if len(self._connections) >= connections_max():
            self._refuse()
            return
        self._silent = self._loop.call_later(FIRST_BYTES_SECONDS, transport.close)
        self._connections.add(self)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        if self._silent is not None:
            self._silent.cancel()
        self._connections.discard(self)

    def _refuse(self) -> None:
        # Whoever floods us with connections does not flood the log too.
        if (now := self._loop.time()) >= SwitchProtocol._silent_until:
            SwitchProtocol._silent_until = now + REFUSAL_LOG_SECONDS
            log.warning("connections are refused", extra={"connections": len(self._connections)})
        self._transport.write(FULL % (len(FULL_BODY), FULL_BODY))
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._silent is None:
            return
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
