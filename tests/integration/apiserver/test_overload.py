"""More than the server can take: it says so, loses nothing, and others do not feel it (J8).

The disk is made slow for real: the test holds SQLite's write lock on the journal's file.
"""

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from typing import Any

import httpx
import pytest
from api_process import KEY, ApiServer, create
from ranvier_apiserver.journal.opening import FILE_NAME
from runloop_api_client import AsyncRunloop

BATCH = 1000
BATCHES = 14
"""More than the queue before the disk takes (8192 events), one batch under way beside it."""

PATIENCE_SECONDS = 20


@contextmanager
def disk_at_a_standstill(server: ApiServer) -> Iterator[None]:
    """Nothing is committed meanwhile. The server waits 5 s for it at most."""
    path = server.folder / "data" / FILE_NAME
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def batch(number: int) -> list[dict[str, str]]:
    event = {"event_type": "t", "origin": "EXTERNAL_EVENT", "source": "s", "payload": f"{number}"}
    return [event] * BATCH


async def head(api: httpx.AsyncClient, axon_id: str) -> int:
    page = (await api.get(f"/v1/axons/{axon_id}/events", params={"limit": 1})).json()
    count: int = page["total_count"]
    return count


async def test_a_full_queue_is_told_and_what_was_taken_is_kept(server: ApiServer) -> None:
    async with server.client() as api:
        axon_id = await create(api)
        ids = [uuid.uuid4().hex for _ in range(BATCHES)]

        async def send(number: int) -> httpx.Response:
            url, headers = f"/v1/axons/{axon_id}/publish", {"x-request-id": ids[number]}
            return await api.post(url, json=batch(number), headers=headers)

        with disk_at_a_standstill(server):
            tasks = [asyncio.create_task(send(number)) for number in range(BATCHES)]
            refused, waiting = await asyncio.wait(
                tasks, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            for task in refused:
                answer = task.result()
                assert (answer.status_code, answer.json()["code"]) == (429, "too_busy")
                assert int(answer.headers["retry-after-ms"]) <= 1000
                assert int(answer.headers["retry-after"]) >= 1
            # Reading goes on.
            assert await head(api, axon_id) == 0
        codes = [(await task).status_code for task in tasks]
        assert set(codes) == {200, 429}
        assert await head(api, axon_id) == BATCH * codes.count(200)
        again = [(await send(number)).status_code for number in range(BATCHES)]
        assert again == [200] * BATCHES
        assert await head(api, axon_id) == BATCH * BATCHES, "those that were taken came once"
        assert waiting


async def test_the_published_sdk_waits_and_gets_in(server: ApiServer) -> None:
    async with (
        server.client() as api,
        AsyncRunloop(base_url=server.url, bearer_token=KEY, max_retries=5) as sdk,
    ):
        axon_id, probe = await create(api), await create(api)

        async def send(number: int) -> Any:
            path = f"/v1/axons/{axon_id}/publish"
            return await sdk.post(path, body=batch(number), cast_to=object)

        async with asyncio.TaskGroup() as group:
            with disk_at_a_standstill(server):
                for number in range(BATCHES):
                    group.create_task(send(number))
                async with asyncio.timeout(PATIENCE_SECONDS):
                    while await _publish_one(api, probe) != 429:
                        pass
        assert await head(api, axon_id) == BATCH * BATCHES


async def _publish_one(api: httpx.AsyncClient, axon_id: str) -> int | None:
    """The status, or none when it waits for the disk."""
    try:
        answer = await api.post(f"/v1/axons/{axon_id}/publish", json=batch(0), timeout=0.05)
    except httpx.TimeoutException:
        return None
    return answer.status_code


@pytest.mark.parametrize("path", ["publish", "", "sql/query"])
@pytest.mark.parametrize("declared", [True, False])
async def test_what_is_too_large_is_refused(
    api: httpx.AsyncClient, path: str, declared: bool
) -> None:
    url = f"/v1/axons/{await create(api)}/{path}".rstrip("/")

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(32):
            yield b" " * 1024 * 1024

    content = b" " * 32 * 1024 * 1024 if declared else parts()
    answer = await api.post(url, content=content)
    assert (answer.status_code, answer.json()["code"]) == (413, "payload_too_large")
