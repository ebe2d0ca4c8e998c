"""Answers the kubelet's question whether every agent is ready: 200 or 503, to any request."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

REQUEST_SECONDS_MAX: Final = 5.0
"""A probe that says nothing for longer is let go."""

_HEADERS: Final = "content-type: text/plain\r\nconnection: close\r\n"


class Readiness:
    """A very small HTTP server."""

    def __init__(self, is_ready: Callable[[], bool]) -> None:
        self._is_ready = is_ready

    async def serve(self, port: int) -> asyncio.Server:
        """Listen on all addresses."""
        # A free port is asked for by tests: every interface would get a port of its own.
        host = None if port else "127.0.0.1"
        return await asyncio.start_server(self._answer, host=host, port=port)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                await reader.readuntil(b"\r\n\r\n")
            status, word = ("200 OK", "ready") if self._is_ready() else _NOT_YET
            head = f"HTTP/1.1 {status}\r\n{_HEADERS}content-length: {len(word)}\r\n\r\n"
            writer.write((head + word).encode())
            await writer.drain()
        writer.close()


_NOT_YET: Final = ("503 Service Unavailable", "not yet")
