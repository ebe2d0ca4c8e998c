"""HTTP/1.1: uvicorn's protocol with httptools, and the hot path beside it.

A request whose head and body came in one read is held until it is complete, offered to the
application's hot path, and handed to uvicorn as if it came just then when the hot path leaves it.
Everything that takes time (large or slow bodies, pipelines, streams) is uvicorn's from the start.
"""

import asyncio
from functools import partial
from typing import Any, Final, cast

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)
from uvicorn.server import ServerState

from ranvier_apiserver import instant, stalled
from ranvier_apiserver.hot_path import Headers, HotPath

HEAD_SECONDS: Final = 30.0
"""So long a request's first line and headers may take, once begun; then it is cut off."""

CLOSE: Final = (b"connection", b"close")
OURS: Final = frozenset({b"connection", b"content-length"})
"""Headers that are written here, whatever the application says of them."""

HOT_METHOD: Final = b"POST"
PLAIN: Final = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_-."
"""What a path may hold to go the hot way: nothing that has to be decoded or split."""


class Http1Protocol(HttpToolsProtocol):
    """uvicorn's, whose requests can also be dropped, and must have begun in time."""

    _is_in_head = False
    _late: asyncio.TimerHandle | None = None
    _held: list[bytes] | None = None
    """The body so far of a request that may go the hot way."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._under_way: list[RequestResponseCycle] = []
        self._hot = self.app if isinstance(self.app, HotPath) else None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._held is not None:
            self._leave()
        # Almost every head comes in one piece and needs no timer.
        if not self._is_in_head:
            self._hurry(None)
        elif self._late is None:
            self._hurry(self.loop.call_later(HEAD_SECONDS, self.transport.abort))

    def connection_lost(self, exc: Exception | None) -> None:
        self._hurry(None)
        # uvicorn tells the newest alone: one that is answered before it would never hear of it.
        for cycle in self._under_way:
            cycle.disconnected = not cycle.response_complete
            cycle.message_event.set()
        super().connection_lost(exc)

    def _hurry(self, timer: asyncio.TimerHandle | None) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = timer

    # --- the parser's calls

    def on_message_begin(self) -> None:
        self._is_in_head = True
        # A request before it may have had its answer within the same read.
        self._unset_keepalive_if_required()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        if self._may_be_hot():
            self._held = []
        else:
            self._begin()

    def on_body(self, body: bytes) -> None:
        if self._held is not None:
            self._held.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._held is not None:
            body, self._held = b"".join(self._held), None
            if self._take(body):
                return
            self._begin()
            super().on_body(body)
        super().on_message_complete()

    # --- the ordinary way

    def _begin(self) -> None:
        scope = cast(dict[str, Any], self.scope)
        stalled.offer(scope, self.transport.abort)
        super().on_headers_complete()
        assert self.cycle is not None
        under_way = (it for it in self._under_way if not it.response_complete)
        self._under_way = [*under_way, self.cycle]
        instant.offer(scope, partial(self._write, self.cycle))

    def _write(self, cycle: RequestResponseCycle, chunk: bytes) -> bool:
        """As `instant.Write` has it: what uvicorn's `send` does when it need not wait."""
        if (
            cycle.disconnected
            or cycle.response_complete
            or not (cycle.response_started and cycle.chunked_encoding)
            or self.flow.write_paused
            or self.transport.is_closing()
        ):
            return False
        self.transport.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
        return True

    # --- the hot way

    def _may_be_hot(self) -> bool:
        """Whether it is a plain request, and the only one under way on this connection."""
        return (
            self._hot is not None
            and self.parser.get_method() == HOT_METHOD
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.expect_100_continue
            and not self.parser.should_upgrade()
            and not self.url.translate(None, PLAIN)
            and (self.cycle is None or self.cycle.response_complete)
            and not self.flow.write_paused
            and not self.transport.is_closing()
        )

    def _take(self, body: bytes) -> bool:
        assert self._hot is not None
        scope = cast(dict[str, Any], self.scope)
        path = self.url.decode("ascii")
        scope.update(method="POST", path=path, raw_path=self.url, query_string=b"")
        before, hot = self.cycle, _Hot()
        self.cycle = cast(Any, hot)
        if self._hot.take(scope, body, partial(self._answer, hot)):
            return True
        self.cycle = before
        return False

    def _leave(self) -> None:
        """The rest of the body is still to come: that is uvicorn's."""
        body, self._held = b"".join(self._held or ()), None
        self._begin()
        super().on_body(body)

    def _answer(self, hot: "_Hot", status: int, body: bytes, headers: Headers) -> None:
        hot.response_complete = True
        if hot.disconnected or self.transport.is_closing():
            return
        is_last = not hot.keep_alive or CLOSE in headers
        lines = [STATUS_LINE[status]]
        for name, value in (*self.server_state.default_headers, *headers):
            if name not in OURS:
                lines += (name, b": ", value, b"\r\n")
        lines.append(b"content-length: %d\r\n" % len(body))
        lines.append(b"connection: close\r\n\r\n" if is_last else b"\r\n")
        lines.append(body)
        self.transport.write(b"".join(lines))
        if is_last:
            self.transport.close()
        self.on_response_complete()


class _NobodyWaits:
    """uvicorn tells a request when something comes for it; on the hot way nobody listens."""

    def set(self) -> None: ...


class _Hot:
    """A request on the hot way, as far as uvicorn asks for the one that is under way."""

    __slots__ = ("disconnected", "keep_alive", "response_complete")

    message_event: Final = _NobodyWaits()

    def __init__(self) -> None:
        self.disconnected = False
        self.keep_alive = True
        self.response_complete = False
