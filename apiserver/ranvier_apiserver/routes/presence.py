"""Is the reader still there? For answers that take long: they end when nobody waits for them."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Receive


async def until_gone(receive: Receive, work: Callable[[], Awaitable[None]]) -> bool:
    """Do the work until it ends (True) or the reader is gone (False). The body must be read."""
    async with asyncio.TaskGroup() as group:
        working = group.create_task(_run(work))
        leaving = group.create_task(_disconnected(receive))
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        ended = working.done()
        working.cancel()
        leaving.cancel()
    return ended


async def _run(work: Callable[[], Awaitable[None]]) -> None:
    await work()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
