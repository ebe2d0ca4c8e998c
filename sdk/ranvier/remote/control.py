"""Requests that carry an id of their own (Claude Code's control requests, Codex' frames)."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class ControlAnswers:
    """Answers by the request's id."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    @contextmanager
    def expect(self, request_id: str) -> Iterator[asyncio.Future[dict[str, Any]]]:
        """Expect the answer to a request; begin before it is sent."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[request_id] = future
        try:
            yield future
        finally:
            del self._waiting[request_id]

    async def wait(
        self, answer: asyncio.Future[dict[str, Any]], seconds: float | None
    ) -> dict[str, Any]:
        """The answer; raises TimeoutError, or what `fail` was given."""
        async with asyncio.timeout(seconds):
            return await answer

    def answered(self, request_id: str, answer: dict[str, Any]) -> None:
        """An answer arrived."""
        future = self._waiting.get(request_id)
        if future is not None and not future.done():
            future.set_result(answer)

    def fail(self, error: Exception) -> None:
        """No more answers will come."""
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
