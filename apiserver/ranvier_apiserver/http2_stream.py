"""One request on an HTTP/2 connection, as ASGI sees it: a scope, `receive` and `send`."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import h2.connection
import h2.errors
import h2.exceptions
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.server import ServerState

HOP_BY_HOP: Final = frozenset({b"connection", b"keep-alive", b"transfer-encoding", b"upgrade"})
"""Headers of HTTP/1.1 connections; forbidden in HTTP/2."""

log = logging.getLogger(__name__)


class Connection(Protocol):
    """What a stream needs of its connection."""

    h2: h2.connection.H2Connection
    flow: FlowControl
    server_state: ServerState

    def flush(self) -> None: ...
    def acknowledge(self, size: int, stream_id: int) -> None: ...
    def finished(self, stream_id: int) -> None: ...
    def abandon(self, stream_id: int) -> None: ...


class Stream:
    def __init__(self, connection: Connection, stream_id: int, scope: dict[str, Any]) -> None:
        self._connection = connection
        self._id = stream_id
        self._scope = scope
        self._body: list[tuple[bytes, int]] = []
        self._body_complete = False
        self._is_read = False
        self._sent_end = False
        self._is_gone = False
        self._arrived = asyncio.Event()
        self._window = asyncio.Event()

    async def run(self, app: Callable[..., Awaitable[None]]) -> None:
        try:
            await app(self._scope, self.receive, self.send)
        except Exception:
            log.exception("request failed")
        finally:
            self._close()

    # --- what the client did

    def body_received(self, data: bytes, window_bytes: int) -> None:
        self._body.append((data, window_bytes))
        self._arrived.set()

    def body_ended(self) -> None:
        self._body_complete = True
        self._arrived.set()

    def disconnect(self) -> None:
        self._is_gone = True
        self._arrived.set()
        self._window.set()

    def abort(self) -> None:
        """Give the reader up: it takes nothing."""
        self._connection.abandon(self._id)
        self.disconnect()

    def window_changed(self) -> None:
        self._window.set()

    # --- what the application asks

    async def receive(self) -> dict[str, Any]:
        while not (self._body or self._has_news):
            self._arrived.clear()
            await self._arrived.wait()
        if self._is_gone or self._is_read or self._sent_end:
            return {"type": "http.disconnect"}
        chunks, self._body = self._body, []
        self._connection.acknowledge(sum(size for _, size in chunks), self._id)
        self._is_read = self._body_complete
        body = b"".join(data for data, _ in chunks)
        return {"type": "http.request", "body": body, "more_body": not self._is_read}

    @property
    def _has_news(self) -> bool:
        """Whether `receive` has something to say besides parts of the body."""
        ended = self._body_complete and not self._is_read
        return ended or self._is_gone or self._sent_end

    async def send(self, message: dict[str, Any]) -> None:
        if self._is_gone or self._sent_end:
            return
        try:
            if message["type"] == "http.response.start":
                self._send_headers(message)
            else:
                await self._send_body(message.get("body", b""), message.get("more_body", False))
        except h2.exceptions.ProtocolError:
            # The client reset the stream or closed while we were about to send.
            self.disconnect()

    def _send_headers(self, message: dict[str, Any]) -> None:
        own = [(k.lower(), v) for k, v in message.get("headers", ())]
        headers = [(b":status", str(message["status"]).encode())]
        headers += [*self._connection.server_state.default_headers]
        headers += [(name, value) for name, value in own if name not in HOP_BY_HOP]
        self._connection.h2.send_headers(self._id, headers)
        self._connection.flush()

    async def _send_body(self, body: bytes, more: bool) -> None:
        rest = memoryview(body)
        protocol = self._connection.h2
        while rest and not self._is_gone:
            self._window.clear()
            room = protocol.local_flow_control_window(self._id)
            room = min(room, protocol.max_outbound_frame_size)
            if room <= 0:
                await self._window.wait()
                continue
            protocol.send_data(self._id, bytes(rest[:room]))
            rest = rest[room:]
            self._connection.flush()
            await self._connection.flow.drain()
        if not more and not self._is_gone:
            protocol.end_stream(self._id)
            self._connection.flush()
            self._sent_end = True
            self._arrived.set()

    def _close(self) -> None:
        """The application is done. What it left open is reset; a body it left unread is let in.

        Resetting there too would be shorter, but some clients wait for room to send to the end,
        whatever was answered meanwhile. Memory is not held: parts are dropped as they arrive.
        """
        self._connection.acknowledge(sum(size for _, size in self._body), self._id)
        self._body = []
        if not (self._is_gone or self._sent_end):
            with contextlib.suppress(h2.exceptions.ProtocolError):
                self._connection.h2.reset_stream(self._id, h2.errors.ErrorCodes.INTERNAL_ERROR)
            self._connection.flush()
        self._connection.finished(self._id)
