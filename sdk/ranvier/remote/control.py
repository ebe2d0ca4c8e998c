"""Requests that carry an id of their own: Claude Code's control requests, Codex' frames, Pi's
commands."""

import asyncio
from typing import Any

from ranvier.events import AxonEvent, Origin
from ranvier.remote.connection import ANSWER_SECONDS, AxonConnection


class ControlConnection(AxonConnection):
    """Base of the connections whose agents answer by a request's id."""

    def _set_up(self) -> None:
        self._requested: dict[str, asyncio.Future[dict[str, Any]]] = {}

    async def _ask_by_id(
        self, event_type: str, request_id: str, frame: dict[str, Any]
    ) -> dict[str, Any]:
        """Publish and wait for the answer. Raises NotConnected, TimeoutError."""
        answer = asyncio.get_running_loop().create_future()
        self._requested[request_id] = answer
        try:
            await self._publish(event_type, frame)
            async with asyncio.timeout(ANSWER_SECONDS):
                return dict(await answer)
        finally:
            del self._requested[request_id]

    def _answer_in(self, event: AxonEvent) -> tuple[str | None, dict[str, Any]]:
        """The id of the request that this event of the agent answers, and the answer."""
        raise NotImplementedError

    async def _take(self, event: AxonEvent) -> None:
        await super()._take(event)
        if event.origin is Origin.AGENT:
            request_id, answer = self._answer_in(event)
            future = self._requested.get(request_id or "")
            if future is not None and not future.done():
                future.set_result(answer)

    def _fail_all(self, error: Any) -> None:
        super()._fail_all(error)
        for future in self._requested.values():
            if not future.done():
                future.set_exception(error)
