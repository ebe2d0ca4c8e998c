"""The queue says "look again", never "this happened"."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from ranvier_operator.errors import ClusterUnavailable, Conflict, NotLeading
from ranvier_operator.workqueue import (
    RETRY_SECONDS_MAX,
    RETRY_SECONDS_MIN,
    WorkQueue,
    retry_seconds,
)

BOUND = 5.0
Look = Callable[[str], Awaitable[float | None]]


@asynccontextmanager
async def working(look: Look, workers: int = 4) -> AsyncIterator[WorkQueue[str]]:
    queue: WorkQueue[str] = WorkQueue(look, workers=workers, spread=lambda: 0.5)
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        queue.open()
        yield queue
        task.cancel()


class Looks:
    """Records looks; each waits until it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.begin = asyncio.Semaphore(0)
        self.let_go = asyncio.Semaphore(0)

    async def __call__(self, key: str) -> None:
        self.begun.append(key)
        self.begin.release()
        await self.let_go.acquire()


async def test_a_key_added_many_times_is_looked_at_once() -> None:
    looks = Looks()
    queue: WorkQueue[str] = WorkQueue(looks, workers=1)
    for _ in range(5):
        queue.add("a")
    assert len(queue) == 1


async def test_one_key_has_one_worker_and_one_more_look_after() -> None:
    looks = Looks()
    async with working(looks) as queue:
        queue.add("a")
        await looks.begin.acquire()
        for _ in range(3):
            queue.add("a")
        await asyncio.sleep(0.01)
        assert looks.begun == ["a"]
        looks.let_go.release()
        await looks.begin.acquire()
        looks.let_go.release()
        await asyncio.sleep(0.01)
        assert looks.begun == ["a", "a"]


async def test_no_more_keys_are_under_way_than_there_are_workers() -> None:
    looks = Looks()
    async with working(looks, workers=2) as queue:
        for key in "abc":
            queue.add(key)
        await looks.begin.acquire()
        await looks.begin.acquire()
        await asyncio.sleep(0.01)
        assert looks.begun == ["a", "b"]
        looks.let_go.release()
        await looks.begin.acquire()
        assert looks.begun == ["a", "b", "c"]
        looks.let_go.release()
        looks.let_go.release()


async def test_what_happened_passes_over_a_routine_look() -> None:
    looks = Looks()
    queue: WorkQueue[str] = WorkQueue(looks, workers=1)
    for key in "abc":
        queue.add(key, urgent=False)
    queue.add("d")
    queue.add("c")
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        task = group.create_task(queue.run())
        queue.open()
        for _ in range(4):
            await looks.begin.acquire()
            looks.let_go.release()
        await asyncio.sleep(0.01)
        task.cancel()
    assert looks.begun == ["d", "c", "a", "b"]


async def test_a_look_can_ask_for_another_one_later() -> None:
    times: list[float] = []
    done = asyncio.Event()

    async def look(key: str) -> float | None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 2:
            done.set()
            return None
        return 0.05

    async with working(look) as queue:
        queue.add("a")
        await done.wait()
    assert times[1] - times[0] >= 0.045


async def test_an_event_comes_before_a_planned_look_and_replaces_it() -> None:
    count = 0
    seen = asyncio.Event()

    async def look(key: str) -> float | None:
        nonlocal count
        count += 1
        seen.set()
        return 3600 if count == 1 else None

    async with working(look) as queue:
        queue.add("a")
        await seen.wait()
        seen.clear()
        queue.add("a")
        await seen.wait()
    assert count == 2


async def test_a_failed_look_is_repeated() -> None:
    tries = 0
    done = asyncio.Event()

    async def look(key: str) -> float | None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ClusterUnavailable("down")
        done.set()
        return None

    async with working(look) as queue:
        queue.add("a")
        await done.wait()
    assert tries == 2


async def test_a_conflict_is_repeated_at_once_but_not_for_ever() -> None:
    tries = 0

    async def look(key: str) -> float | None:
        nonlocal tries
        tries += 1
        raise Conflict("somebody was faster")

    async with working(look) as queue:
        queue.add("a")
        await asyncio.sleep(0.1)
    assert tries == 6


async def test_who_does_not_lead_does_not_repeat() -> None:
    tries = 0

    async def look(key: str) -> float | None:
        nonlocal tries
        tries += 1
        raise NotLeading("no")

    async with working(look) as queue:
        queue.add("a")
        await asyncio.sleep(0.05)
    assert tries == 1


async def test_a_closed_queue_takes_keys_and_hands_out_none() -> None:
    looks = Looks()
    async with working(looks) as queue:
        queue.add("a")
        await looks.begin.acquire()
        queue.add("b")
        await looks.begin.acquire()
        assert not await queue.close(0.01)
        looks.let_go.release()
        looks.let_go.release()
        assert await queue.close(1)
        queue.add("c")
        await asyncio.sleep(0.01)
        assert looks.begun == ["a", "b"]
        queue.open()
        await looks.begin.acquire()
        looks.let_go.release()
    assert looks.begun == ["a", "b", "c"]


@pytest.mark.parametrize("failures", range(1, 100))
def test_pauses_grow_to_a_limit(failures: int) -> None:
    pause = retry_seconds(failures, 0.5)
    assert RETRY_SECONDS_MIN <= pause <= RETRY_SECONDS_MAX
    assert retry_seconds(failures, 0.0) < pause < retry_seconds(failures, 1.0)
    assert retry_seconds(failures + 1, 0.5) >= pause
