"""What keeps a devbox asleep: who looks at it costs nothing, and a hold is its owner's to lift."""

import asyncio
import json
import time
from typing import Any

from journeys import SCRIPTED, Box, apply, check_history, conversation, of_type, until
from runloop_api_client import AsyncRunloop
from stage.forward import ApiForward

LOOKED_AT_SECONDS = 10.0
"""The operator looks itself every 4 s; the API server every 2 s."""
IDLE_SECONDS = 3
LATE_SECONDS_MAX = 2.0
SLEEPS = 3


async def version(box: Box) -> str:
    return str((await box.get("devbox"))["metadata"]["resourceVersion"])


async def test_looking_at_a_sleeping_devbox_neither_wakes_it_nor_writes_to_it(
    box: Box, api: ApiForward, key: str
) -> None:
    """W7, W9."""
    await apply(box, SCRIPTED, idle_seconds=2)
    async with conversation(api.url, key, box) as talk:
        sent = await talk.publish("user.message", {"content": "[[say Good night.]]"})
        await talk.turn_end(sent)
        await box.suspended()
        async with AsyncRunloop(bearer_token=key, base_url=api.url) as runloop:
            await looked_at(box, runloop)  # what the suspension itself still had to write
            asleep = await version(box)
            await looked_at(box, runloop)
        assert await version(box) == asleep
        assert not await box.pod_uid()
        check_history(talk, frozenset({"user.message"}))


async def looked_at(box: Box, runloop: AsyncRunloop) -> None:
    """By everybody who may, again and again."""
    devbox_id = "dbx_" + (await box.get("devbox"))["metadata"]["uid"]
    end = time.monotonic() + LOOKED_AT_SECONDS
    while time.monotonic() < end:
        assert (await runloop.devboxes.retrieve(devbox_id)).status == "suspended"
        await runloop.devboxes.list(limit=10)
        await runloop.axons.events.list(box.axon_id)
        await asyncio.sleep(0.2)


async def test_it_falls_asleep_when_its_idle_time_is_over(
    box: Box, api: ApiForward, key: str
) -> None:
    """W9: never before it, and at most 2 s after it. One of the sleeps may be late: the machine
    that runs a cluster and other tests is allowed a hiccup, and a habit would show in two."""
    await apply(box, SCRIPTED, idle_seconds=IDLE_SECONDS)
    late = []
    async with conversation(api.url, key, box) as talk:
        for number in range(SLEEPS):
            sent = await talk.publish("user.message", {"content": f"[[say {number}]]"})
            end = await talk.turn_end(sent)

            async def sleeps(after: int = end.sequence) -> list[Any]:
                return of_type(talk, "devbox.suspended", after)

            asleep = (await until("devbox.suspended", sleeps))[0]
            late.append((asleep.timestamp_ms - end.timestamp_ms) / 1000 - IDLE_SECONDS)
        check_history(talk, frozenset({"user.message"}))
    print("asleep so many seconds after the idle time was over:", late)
    assert min(late) >= 0
    assert sorted(late)[-2] <= LATE_SECONDS_MAX


async def test_a_hold_is_broken_by_no_event_and_its_spec_is_written_by_nobody_else(
    box: Box, api: ApiForward, key: str
) -> None:
    """W5, and W1 when it is lifted."""
    await apply(box, SCRIPTED, idle_seconds=None)
    async with conversation(api.url, key, box) as talk:
        first = await talk.publish("user.message", {"content": "[[say One.]]"})
        await talk.turn_end(first)
        held = await operating_mode(box, "Suspended")
        await box.suspended()
        waiting = await talk.publish("user.message", {"content": "[[say Two.]]"})
        end = time.monotonic() + LOOKED_AT_SECONDS
        while time.monotonic() < end:
            assert not await box.pod_uid()
            await asyncio.sleep(0.2)
        assert (await box.get("devbox"))["spec"] == held

        await operating_mode(box, "Running")
        assert (await talk.turn_end(waiting)).event_type == "turn.completed"
        check_history(talk, frozenset({"user.message"}))


async def operating_mode(box: Box, mode: str) -> dict[str, Any]:
    """As its owner sets it; return the whole spec."""
    patch = json.dumps({"spec": {"operatingMode": mode}})
    await box.kubectl("patch", "devbox", box.name, "--type=merge", "--patch", patch)
    spec: dict[str, Any] = (await box.get("devbox"))["spec"]
    assert spec["operatingMode"] == mode
    return spec
