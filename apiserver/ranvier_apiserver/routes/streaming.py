"""An answer that is a stream of server-sent events, made as it is sent."""

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ranvier_apiserver import frames, stalled
from ranvier_apiserver.pauses import Pauses
from ranvier_apiserver.routes.presence import until_gone

END: Final = {"type": "http.response.body", "body": b"", "more_body": False}

Emit = Callable[[bytes], Awaitable[None]]


def send_pauses() -> Pauses:
    """Ends sends to a reader that takes nothing, at `STALLED_SECONDS` or up to a quarter later."""
    return Pauses(stalled.STALLED_SECONDS)


class EventStream(Response):
    """Sends what `work` emits, until it ends or the reader is gone. A reader that takes nothing for
    too long is dropped; `stalled` hears of it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        work: Callable[[Emit], Awaitable[None]],
        stalled: Callable[[], None] = lambda: None,
        pauses: Pauses | None = None,
    ) -> None:
        """`pauses` times the sends of all streams that share it."""
        super().__init__()
        self._work = work
        self._stalled = stalled
        self._pauses = pauses or send_pauses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def emit(chunk: bytes) -> None:
            try:
                message = {"type": "http.response.body", "body": chunk, "more_body": True}
                await self._pauses.wait(lambda: send(message))
            except TimeoutError:
                self._stalled()
                stalled.drop(scope)

        async def stream() -> None:
            await self._work(emit)

        await send({"type": "http.response.start", "status": 200, "headers": frames.HEADERS})
        await emit(frames.OPEN)
        if await until_gone(receive, stream):
            await send(END)
