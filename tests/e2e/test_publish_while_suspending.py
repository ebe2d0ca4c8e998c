"""An event published in the very moment of the suspension is not lost (W2, W3, W4)."""

import asyncio
import os
import random
import time
from dataclasses import replace

from journeys import SCRIPTED, Box, apply, check_history, conversation, of_type, open_session
from stage.forward import ApiForward

BOXES = 6
"""At once: most of a round is waiting."""
ROUNDS = 10 if os.environ.get("RANVIER_SOAK") else 5
"""Of each box."""
IDLE_SECONDS = 2
EARLY_SECONDS, LATE_SECONDS = 0.4, 1.2
"""The publish falls from this long before to this long after the expected decision: before the
ask, between grant and pod deletion, while the pod ends, and when it is gone."""
SEED = 20261121


async def test_an_event_in_the_moment_of_suspension_is_never_lost(
    box: Box, api: ApiForward, key: str
) -> None:
    boxes = [replace(box, name=f"box-{number}") for number in range(BOXES)]
    sleeps = await asyncio.gather(*(converse(each, api.url, key) for each in boxes))
    rounds = BOXES * ROUNDS
    print(f"{rounds} rounds, {sum(sleeps)} of them met a granted sleep")
    assert 0 < sum(sleeps) < rounds, "the delays must fall on both sides of the decision"


async def converse(box: Box, url: str, key: str) -> int:
    """All rounds of a box; returns how many granted sleeps they met."""
    chance = random.Random(f"{SEED} {box.name}")
    await apply(box, SCRIPTED, idle_seconds=IDLE_SECONDS)
    async with conversation(url, key, box) as talk:
        session = await open_session(talk)
        for count in range(ROUNDS):
            trigger = await talk.prompt(session, f"[[say answer {count}]]")
            end = await talk.turn_end(trigger)
            assert end.event_type == "turn.completed", f"round {count}: {end.payload}"
            decision_at = end.timestamp_ms / 1000 + IDLE_SECONDS
            publish_at = decision_at + chance.uniform(-EARLY_SECONDS, LATE_SECONDS)
            # The delay is what is tested: the publish must fall around the decision.
            await asyncio.sleep(max(0.0, publish_at - time.time()))
        check_history(talk)
        turns = [len(of_type(talk, t)) for t in ("turn.started", "turn.completed")]
        assert turns == [ROUNDS, ROUNDS]
        return len(of_type(talk, "devbox.suspended"))
