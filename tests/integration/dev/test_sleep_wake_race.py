"""Events published in the very moment of a suspension, many times over (W1 to W4).

`RANVIER_SOAK=1` runs 200 rounds.
"""

import asyncio
import contextlib
import json
import os
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

from dev_place import FACT_SECONDS_MAX, IDLE_SECONDS, Dev
from ranvier import AsyncRanvier
from ranvier.events import TURN_TERMINALS, AxonEvent
from ranvier.verify import verify

NAMES = ("one", "two", "three", "four")
ROUNDS_OF_EACH = 50 if os.environ.get("RANVIER_SOAK") else 3
EARLY_SECONDS, LATE_SECONDS = 0.3, 1.0
"""From this long before the expected decision to this long after: before the question, between the
grant and the pod's deletion, while the pod ends, and when it is gone."""
SEED = 20261121


async def test_no_event_is_lost_in_the_moment_of_suspension(tmp_path: Path) -> None:
    dev = Dev(tmp_path, NAMES)
    await dev.apply()
    try:
        async with AsyncRanvier(base_url=dev.url, api_key=dev.api_key) as ranvier:
            async with asyncio.TaskGroup() as group:
                boxes = [
                    group.create_task(converse(ranvier, axon_id, random.Random(SEED + number)))
                    for number, axon_id in enumerate(dev.axon_ids)
                ]
            sleeps = sum(box.result() for box in boxes)
    finally:
        await dev.stop()
    rounds = len(NAMES) * ROUNDS_OF_EACH
    print(f"{rounds} rounds, {sleeps} of them met a granted sleep")
    assert sleeps > 0, "the delays must reach past the decision"


async def converse(ranvier: AsyncRanvier, axon_id: str, chance: random.Random) -> int:
    """One devbox's rounds; its whole journal is checked. The number of sleeps."""
    acknowledged: dict[int, str] = {}
    seen: list[AxonEvent] = []
    async with contextlib.aclosing(ranvier.axons.subscribe(axon_id)) as events:
        for number in range(ROUNDS_OF_EACH):
            payload = json.dumps({"content": f"[[say answer {number}]]"})
            published = await ranvier.axons.publish(axon_id, "user.message", payload)
            acknowledged[published.sequence] = payload
            async with asyncio.timeout(FACT_SECONDS_MAX):
                end = await turn_end(events, seen, published.sequence)
            assert end.event_type == "turn.completed", f"{axon_id}, round {number}: {end.payload}"
            decision_at = end.timestamp_ms / 1000 + IDLE_SECONDS
            publish_at = decision_at + chance.uniform(-EARLY_SECONDS, LATE_SECONDS)
            # The delay is what is tested: the publish must fall around the decision.
            await asyncio.sleep(max(0.0, publish_at - time.time()))
    assert verify(seen, acknowledged, is_idle=True) == []
    return sum(event.event_type == "devbox.suspended" for event in seen)


async def turn_end(
    events: AsyncIterator[AxonEvent], seen: list[AxonEvent], trigger: int
) -> AxonEvent:
    """Reads on to the end of the trigger's turn; all that is read is kept in `seen`."""
    async for event in events:
        seen.append(event)
        is_end = event.event_type in TURN_TERMINALS
        if is_end and json.loads(event.payload)["turn_id"].endswith(f"_{trigger}"):
            return event
    raise AssertionError("the stream ended")
