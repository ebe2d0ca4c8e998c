"""HTTP/2 in clear text with prior knowledge (h2c): one connection, many ASGI requests.

The published TypeScript client speaks nothing else on `http://`. The protocol is `h2`'s; this
module only moves bytes and events between it, uvicorn's bookkeeping and the application. Flow
control is the back-pressure both ways: a body is acknowledged as the application reads it, and
`send` waits for the window and the socket.
"""

import asyncio
import contextlib
import logging
from typing import Any, Final, cast
from urllib.parse import unquote

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.utils import get_local_addr, get_remote_addr
from uvicorn.server import ServerState

from ranvier_apiserver import stalled
from ranvier_apiserver.http2_stream import Stream

STREAMS_MAX: Final = 256
"""Requests under way on one connection; the published client asks for 100 at least."""

IDLE_SECONDS: Final = 300.0
"""A connection without requests is closed after this; clients open a new one when they need it."""

CONNECTION_WINDOW_BYTES: Final = 1024 * 1024
"""What a client may send ahead on all streams together; the per-stream window is the default."""

log = logging.getLogger(__name__)


class Http2Protocol(asyncio.Protocol):
    """Takes the place of uvicorn's HTTP/1.1 protocol for one connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self.config = config
        self.server_state = server_state
        self.loop = _loop or asyncio.get_running_loop()
        self.h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding=None)
        )
        self.streams: dict[int, Stream] = {}
        self.transport: asyncio.Transport
        self.flow: FlowControl
        self._is_stopping = False
        self._idle: asyncio.TimerHandle | None = None

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio's do, but do not descend from them.
        self.transport = cast(asyncio.Transport, transport)
        self.flow = FlowControl(self.transport)
        self.server_state.connections.add(self)  # type: ignore[arg-type]
        self.h2.local_settings = h2.settings.Settings(
            client=False,
            initial_values={h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: STREAMS_MAX},
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(CONNECTION_WINDOW_BYTES)
        self.flush()
        self._watch_idle()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.h2.receive_data(data):
                self._handle(event)
        except h2.exceptions.ProtocolError as error:
            log.debug("http/2 connection ended: %s", error)
            self.flush()
            self.transport.close()
            return
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self.server_state.connections.discard(self)
        self._cancel_idle()
        for stream in list(self.streams.values()):
            stream.disconnect()
        self.flow.resume_writing()

    def pause_writing(self) -> None:
        self.flow.pause_writing()

    def resume_writing(self) -> None:
        self.flow.resume_writing()

    def shutdown(self) -> None:
        """The server stops: nothing new, and goodbye when the last answer is out."""
        self._is_stopping = True
        self._end_if_done()

    # --- the streams' side

    def flush(self) -> None:
        if (data := self.h2.data_to_send()) and not self.transport.is_closing():
            self.transport.write(data)

    def finished(self, stream_id: int) -> None:
        """The stream's answer is complete, or nobody waits for it any more."""
        if self.streams.pop(stream_id, None) is not None:
            self.server_state.total_requests += 1
        if not self.streams:
            self._watch_idle()
        self._end_if_done()

    def abandon(self, stream_id: int) -> None:
        """Reset a stream whose reader takes nothing, or the connection when nothing gets out."""
        if self.flow.write_paused:
            self.transport.abort()
            return
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self.h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        self.flush()

    def _end_if_done(self) -> None:
        if self._is_stopping and not self.streams:
            self._goodbye()

    def _goodbye(self) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):
            self.h2.close_connection()
        self.flush()
        self.transport.close()

    # --- the protocol's side

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived():
                self._begin(event)
            case h2.events.DataReceived():
                if (stream := self.streams.get(event.stream_id)) is not None:
                    stream.body_received(event.data, event.flow_controlled_length)
                else:
                    # Answered before its body was read: the rest is let in and dropped.
                    self.acknowledge(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                if (stream := self.streams.get(event.stream_id)) is not None:
                    stream.body_ended()
            case h2.events.StreamReset():
                if (stream := self.streams.get(event.stream_id)) is not None:
                    stream.disconnect()
            case h2.events.WindowUpdated() | h2.events.RemoteSettingsChanged():
                for stream in self.streams.values():
                    stream.window_changed()
            case h2.events.ConnectionTerminated():
                self.transport.close()

    def acknowledge(self, size: int, stream_id: int) -> None:
        if not size or self.transport.is_closing():
            return
        try:
            self.h2.acknowledge_received_data(size, stream_id)
        except h2.exceptions.ProtocolError:
            return
        self.flush()

    def _begin(self, event: h2.events.RequestReceived) -> None:
        if self._is_stopping:
            self.h2.reset_stream(event.stream_id, h2.errors.ErrorCodes.REFUSED_STREAM)
            return
        self._cancel_idle()
        scope = self._scope(event.headers)
        stream = Stream(self, event.stream_id, scope)
        stalled.offer(scope, stream.abort)
        self.streams[event.stream_id] = stream
        task = self.loop.create_task(stream.run(self.config.loaded_app))
        self.server_state.tasks.add(task)
        task.add_done_callback(self.server_state.tasks.discard)

    def _scope(self, pairs: list[tuple[bytes, bytes]]) -> dict[str, Any]:
        pseudo = {name: value for name, value in pairs if name.startswith(b":")}
        headers = [(name, value) for name, value in pairs if not name.startswith(b":")]
        if b":authority" in pseudo:
            headers.insert(0, (b"host", pseudo[b":authority"]))
        raw_path, _, query = pseudo.get(b":path", b"/").partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": self.config.asgi_version, "spec_version": "2.3"},
            "http_version": "2",
            "server": get_local_addr(self.transport),
            "client": get_remote_addr(self.transport),
            "scheme": "http",
            "method": pseudo.get(b":method", b"GET").decode("ascii"),
            "root_path": self.config.root_path,
            "path": unquote(raw_path.decode("ascii", "replace")),
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "state": {},
        }

    def _watch_idle(self) -> None:
        self._cancel_idle()
        self._idle = self.loop.call_later(IDLE_SECONDS, self._goodbye)

    def _cancel_idle(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
