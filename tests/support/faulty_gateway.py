"""A gateway that answers wrongly once: it hands a call on, and tells its caller that it failed.

It speaks what the API server speaks on one port (HTTP/1.1 and h2c), so every published client comes
through it with its own transport. What it was asked and what it answered is kept, so a test can
tell which calls were repeated, and under which key.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from ranvier_apiserver import serving
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

HOP_BY_HOP = frozenset({"connection", "host", "keep-alive", "transfer-encoding"})
OWN_FAULT = {"code": "gateway", "message": "The gateway says that it failed."}


@dataclass(frozen=True)
class Call:
    """One request and its answer. `once` is the key that a client's retries share."""

    method: str
    path: str
    once: str
    status: int


class FaultyGateway:
    """`faults`: by the last word of a path, the status of the first answer to each POST."""

    def __init__(self, upstream: str, faults: Mapping[str, int]) -> None:
        self._upstream = upstream
        self._faults = faults
        self.failed: set[tuple[str, str]] = set()
        self.calls: list[Call] = []
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["FaultyGateway"]:
        server = serving.server_for(self, lambda: None)
        listener = serving.listen("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with httpx.AsyncClient(
            base_url=self._upstream, timeout=None, trust_env=False
        ) as self._client:
            running = asyncio.ensure_future(server.serve(sockets=[listener]))
            try:
                yield self
            finally:
                server.should_exit = True
                await running

    def repeated(self, word: str) -> list[list[int]]:
        """Of calls on paths that end so: the statuses that each was answered with, in order."""
        found: dict[str, list[int]] = {}
        for call in self.calls:
            if call.method != "GET" and call.path.endswith(f"/{word}"):
                found.setdefault(call.once, []).append(call.status)
        return list(found.values())

    def statuses_of(self, call: Call) -> list[int]:
        """What the client was answered each time that it made this call."""
        same = [c for c in self.calls if (c.method, c.path, c.once) == _key(call)]
        return [each.status for each in same]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        answer = await self._answer(request)
        once = request.headers.get("x-request-id", "")
        self.calls.append(Call(request.method, request.url.path, once, answer.status_code))
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = {n: v for n, v in request.headers.items() if n.lower() not in HOP_BY_HOP}
        url = httpx.URL(self._upstream).copy_with(
            raw_path=f"{request.url.path}?{request.url.query}".rstrip("?").encode()
        )
        body = await request.body()
        asked = self._client.build_request(request.method, url, headers=headers, content=body)
        answer = await self._client.send(asked, stream=True)
        once = request.headers.get("x-request-id", "")
        fault = self._faults.get(request.url.path.rpartition("/")[2])
        if fault and request.method != "GET" and (request.url.path, once) not in self.failed:
            self.failed.add((request.url.path, once))
            await answer.aread()  # it was carried out, and nobody hears of it
            return JSONResponse(OWN_FAULT, fault, {"retry-after-ms": "1"})
        kept = {n: v for n, v in answer.headers.items() if n.lower() not in HOP_BY_HOP}
        return StreamingResponse(_bytes_of(answer), answer.status_code, kept)


async def _bytes_of(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.aiter_raw():
            yield chunk
    finally:
        await answer.aclose()


def _key(call: Call) -> tuple[str, str, str]:
    return call.method, call.path, call.once
