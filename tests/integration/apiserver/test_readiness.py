"""Ready means: what is published now can be committed. The disk's trouble is real, or nearly so."""

import asyncio
import itertools
import sqlite3
from contextlib import closing

import httpx
from api_process import ApiServer, create, publish
from ranvier_apiserver.journal.opening import FILE_NAME

HEAL_SECONDS = 30


async def ready(api: httpx.AsyncClient) -> tuple[int, bool]:
    answer = await api.get("/readyz")
    return answer.status_code, answer.json()["journal"]


async def until_ready(api: httpx.AsyncClient) -> None:
    async with asyncio.timeout(HEAL_SECONDS):
        for wait in itertools.repeat(0.1):
            if await ready(api) == (200, True):
                return
            await asyncio.sleep(wait)


async def test_a_journal_that_can_not_commit_is_not_ready_and_heals(server: ApiServer) -> None:
    async with server.client() as api:
        axon_id = await create(api)
        assert await ready(api) == (200, True)
        with closing(
            sqlite3.connect(server.folder / "data" / FILE_NAME, isolation_level=None)
        ) as other:
            other.execute("BEGIN IMMEDIATE")
            # SQLite waits 5 s for the lock, then the commit fails.
            answer = await publish(api, axon_id)
            assert (answer.status_code, answer.json()["code"]) == (503, "journal_failed")
            assert await ready(api) == (503, False)
            assert (await api.get("/healthz")).status_code == 200, "a restart would not help"
            assert (await api.get(f"/v1/axons/{axon_id}/events")).status_code == 200
            other.execute("ROLLBACK")
        # Nobody publishes, since it is not ready; it finds out by itself.
        await until_ready(api)
        assert (await publish(api, axon_id)).json()["sequence"] == 1
