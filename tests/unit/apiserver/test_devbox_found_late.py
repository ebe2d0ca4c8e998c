"""A devbox that another API server made: the watch tells of it a moment after a client asks."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ranvier_apiserver.clock import wall_clock_ms
from ranvier_apiserver.errors import NotFound
from ranvier_apiserver.fleet.blueprints import Blueprints
from ranvier_apiserver.fleet.boxes import Boxes, Options
from ranvier_apiserver.kube.cache import Cache
from ranvier_apiserver.kube.objects import DEVBOXES, Listing

UID = str(uuid.UUID(int=7))
MADE: dict[str, Any] = {
    "metadata": {
        "name": "box",
        "namespace": "here",
        "uid": UID,
        "resourceVersion": "2",
        "creationTimestamp": "2026-11-21T10:00:00Z",
    },
    "spec": {"image": "x"},
}
NOBODY: Any = None
"""What these calls need not."""


class QuietCluster:
    """Nothing is there, and nothing happens."""

    async def list(self, *_: Any) -> Listing:
        return Listing([], "1")

    async def watch(self, *_: Any) -> str:
        await asyncio.Event().wait()
        return ""


@pytest.fixture
async def cache() -> AsyncIterator[Cache]:
    cluster: Any = QuietCluster()
    made = Cache(cluster, DEVBOXES, ())
    async with asyncio.TaskGroup() as group:
        following = group.create_task(made.run())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        yield made
        following.cancel()


@pytest.fixture
def boxes(cache: Cache) -> Boxes:
    blueprints = Blueprints(NOBODY, cache, "here")
    return Boxes(NOBODY, cache, NOBODY, blueprints, NOBODY, Options("here"), wall_clock_ms)


async def test_it_is_found_as_soon_as_the_watch_tells(cache: Cache, boxes: Boxes) -> None:
    async with asyncio.TaskGroup() as group:
        asked = group.create_task(boxes.retrieve(f"dbx_{UID}"))
        await asyncio.sleep(0)
        assert not asked.done()
        cache.put(MADE)
    assert asked.result()["id"] == f"dbx_{UID}"


async def test_what_is_no_devboxs_id_is_refused_at_once(boxes: Boxes) -> None:
    async with asyncio.timeout(0.5):
        with pytest.raises(NotFound, match="There is no devbox"):
            await boxes.retrieve("dbx_none")
