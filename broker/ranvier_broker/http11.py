"""A small HTTP/1.1 client: answers to POST, and the bytes of a stream, on asyncio and h11.

A broker makes three kinds of request to one server, and every wake waits for the first of them:
importing and setting up httpx took a third of a second of that, this takes a few milliseconds. It
knows no redirects, proxies, cookies and compression. A request that fails raises `HttpFailed`;
whether to repeat it is the caller's affair.
"""

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

CONNECT_SECONDS_MAX: Final = 5.0
READ_BYTES: Final = 256 * 1024
IDLE_CONNECTIONS_MAX: Final = 4
"""A mount has one append in flight; more connections than a few are never idle at once."""


class HttpFailed(Exception):
    """No whole answer came: connection, protocol or time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose body comes as it is written."""

    status: int
    chunks: AsyncGenerator[bytes, None]


class _Connection:
    """One connection, one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT)

    async def ask(self, request: h11.Request, body: bytes, seconds_max: float) -> int:
        """Send the request; return the status of the answer."""
        data = self._http.send(request) or b""
        data += (self._http.send(h11.Data(body)) or b"") if body else b""
        data += self._http.send(h11.EndOfMessage()) or b""
        async with asyncio.timeout(seconds_max):
            self._writer.write(data)
            await self._writer.drain()
            while not isinstance(event := await self._event(), h11.Response):
                pass  # 1xx
        return event.status_code

    async def body(self, seconds_max: float) -> AsyncGenerator[bytes, None]:
        """The answer's body; `seconds_max` bounds the silence between two pieces."""
        while True:
            async with asyncio.timeout(seconds_max):
                event = await self._event()
            if not isinstance(event, h11.Data):
                return
            yield bytes(event.data)

    def is_reusable(self) -> bool:
        """Get ready for the next request, if the server allows one."""
        if self._http.our_state is self._http.their_state is h11.DONE:
            self._http.start_next_cycle()
            return not self.is_closed
        return False

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed it meanwhile, as it does with idle ones."""
        return self._reader.at_eof()

    def close(self) -> None:
        self._writer.close()

    async def _event(self) -> h11.Event:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._reader.read(READ_BYTES))
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise HttpFailed("the server closed the connection")
        return event


class HttpClient:
    """Requests to one server. `authorization` is asked for each of them."""

    def __init__(self, url: str, authorization: Callable[[], str]) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._port = parts.port or (443 if self._tls else 80)
        self._headers = [("host", parts.netloc), ("user-agent", "ranvier-broker")]
        self._prefix = parts.path.rstrip("/")
        self._authorization = authorization
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes, seconds_max: float) -> Answer:
        """POST JSON; return the whole answer."""
        length = ("content-length", str(len(body)))
        request = self._request("POST", path, [("content-type", "application/json"), length])
        async with self._connection(keep=True) as connection:
            status = await connection.ask(request, body, seconds_max)
            async with aclosing(connection.body(seconds_max)) as pieces:
                return Answer(status, b"".join([piece async for piece in pieces]))

    @asynccontextmanager
    async def stream(self, path: str, seconds_max: float) -> AsyncIterator[Stream]:
        """GET; `seconds_max` bounds the silence before the answer and within it."""
        request = self._request("GET", path, [("accept", "text/event-stream")])
        async with self._connection(keep=False) as connection:
            status = await connection.ask(request, b"", seconds_max)
            async with aclosing(connection.body(seconds_max)) as chunks:
                yield Stream(status, chunks)

    def close(self) -> None:
        """Let go of idle connections."""
        for connection in self._idle:
            connection.close()
        self._idle.clear()

    def _request(self, method: str, path: str, headers: list[tuple[str, str]]) -> h11.Request:
        authorization = ("authorization", self._authorization())
        return h11.Request(
            method=method,
            target=f"{self._prefix}{path}",
            headers=[*self._headers, authorization, *headers],
        )

    @asynccontextmanager
    async def _connection(self, *, keep: bool) -> AsyncIterator[_Connection]:
        connection: _Connection | None = None
        is_kept = False
        try:
            connection = (self._take_idle() if keep else None) or await self._connect()
            yield connection
            is_kept = keep and connection.is_reusable() and len(self._idle) < IDLE_CONNECTIONS_MAX
            if is_kept:
                self._idle.append(connection)
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            raise HttpFailed(repr(error)) from error
        finally:
            if connection is not None and not is_kept:
                connection.close()

    def _take_idle(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed:
                return connection
            connection.close()
        return None

    async def _connect(self) -> _Connection:
        async with asyncio.timeout(CONNECT_SECONDS_MAX):
            streams = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        return _Connection(*streams)
