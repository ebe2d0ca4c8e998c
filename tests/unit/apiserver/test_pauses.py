"""Waits that take too long are ended, others are not, and a cancel of somebody else stays one."""

import asyncio

import pytest
from ranvier_apiserver.pauses import Pauses

SHORT = 0.02
AMPLE = 0.5
LONG = 60.0


async def forever() -> None:
    await asyncio.Future()


async def test_what_takes_too_long_is_ended_and_the_task_goes_on() -> None:
    pauses = Pauses(SHORT)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await pauses.wait(forever)
    assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]
    await asyncio.sleep(0)


async def test_what_comes_in_time_is_given_and_no_timer_stays() -> None:
    pauses = Pauses(SHORT)
    assert await pauses.wait(lambda: asyncio.sleep(0, "it")) == "it"
    with pytest.raises(ZeroDivisionError):
        await pauses.wait(broken)
    assert pauses._since == {}
    await asyncio.sleep(2 * SHORT)
    assert pauses._timer is None


async def broken() -> None:
    raise ZeroDivisionError


async def test_each_of_many_waits_has_its_own_time() -> None:
    pauses = Pauses(AMPLE)

    async def steady() -> int:
        """Something comes again and again: none of its waits is long, together they are."""
        for _ in range(15):
            await pauses.wait(lambda: asyncio.sleep(AMPLE / 10))
        return 15

    async with asyncio.TaskGroup() as group:
        good = group.create_task(steady())
        bad = [group.create_task(ended(pauses)) for _ in range(50)]
    assert good.result() == 15
    assert all(task.result() for task in bad)


async def ended(pauses: Pauses) -> bool:
    try:
        await pauses.wait(forever)
    except TimeoutError:
        return True
    return False


async def test_a_task_that_is_cancelled_stays_cancelled() -> None:
    pauses = Pauses(LONG)
    task = asyncio.create_task(pauses.wait(forever))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pauses._since == {}


async def test_a_cancel_beside_ours_wins() -> None:
    pauses = Pauses(LONG)
    task = asyncio.create_task(pauses.wait(forever))
    await asyncio.sleep(0)
    pauses.seconds = 0.0
    pauses._look(asyncio.get_running_loop())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert pauses._since == {}
