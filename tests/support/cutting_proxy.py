"""A TCP proxy that cuts connections at chosen moments, as networks do."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

CHUNK_BYTES = 65536


class CuttingProxy:
    """Passes bytes to `port` and back. `answer_bytes(connection)` says how much of what the server
    answers on a connection (they count from 1) gets through before it is cut; None: all of it."""

    def __init__(self, port: int, answer_bytes: Callable[[int], int | None]) -> None:
        self._upstream = port
        self._answer_bytes = answer_bytes
        self.connections = 0
        self.cuts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        forward = asyncio.ensure_future(self._forward(reader, up_writer))
        left = self._answer_bytes(number)
        with suppress(OSError):
            while chunk := await up_reader.read(CHUNK_BYTES):
                writer.write(chunk[:left])
                await writer.drain()
                if left is not None and (left := left - len(chunk)) <= 0:
                    self.cuts += 1
                    break
        forward.cancel()
        writer.close()  # what was let through still arrives
        up_writer.transport.abort()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                writer.write(chunk)
                await writer.drain()
            writer.transport.abort()
