"""/healthz and /readyz for the kubelet, /metrics for Prometheus: a few lines of HTTP, so no web
framework is needed for them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Final

from ranvier_operator.metrics import CONTENT_TYPE

log = logging.getLogger(__name__)

Check = Callable[[], bool]
Page = Callable[[], bytes]

METRICS: Final = "/metrics"

REQUEST_SECONDS_MAX: Final = 5.0
"""A probe that does not say what it wants by then is dropped."""


@asynccontextmanager
async def probes(
    port: int, checks: Mapping[str, Check], metrics: Page | None = None
) -> AsyncIterator[int]:
    """Serve `checks` by path while the block runs, and `metrics` as /metrics; yields the port,
    which may be asked for as 0."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_SECONDS_MAX):
                words = (await reader.readline()).decode(errors="replace").split()
                while (await reader.readline()).strip():
                    pass
                path = (words[1] if len(words) > 1 else "").partition("?")[0]
                if metrics is not None and path == METRICS:
                    writer.write(_answer("200 OK", CONTENT_TYPE, metrics()))
                else:
                    writer.write(_judged(checks, path))
                await writer.drain()
        except (TimeoutError, ConnectionError, ValueError):
            log.debug("a probe went away")
        finally:
            writer.close()

    # A free port is asked for by tests: every interface would get a port of its own.
    server = await asyncio.start_server(answer, host=None if port else "127.0.0.1", port=port)
    async with server:
        yield server.sockets[0].getsockname()[1]


def _judged(checks: Mapping[str, Check], path: str) -> bytes:
    check = checks.get(path)
    if check is None:
        status, text = "404 Not Found", f"there is {', '.join(checks)}"
    elif check():
        status, text = "200 OK", "ok"
    else:
        status, text = "503 Service Unavailable", "not yet, or no longer"
    return _answer(status, "text/plain", text.encode() + b"\n")


def _answer(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body
