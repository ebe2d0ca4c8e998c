"""The broker dies, stalls and floods, in every protocol; the whole journal is checked afterwards.

`RANVIER_SOAK=1` makes it 300 turns a protocol instead of 15. A run is repeated with its seed:
`RANVIER_SEED=…`; the failure names it.
"""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Final

import pytest
from axon_client import FACT_SECONDS_MAX, payload
from broker_box import Box, Server, peak_mib
from ranvier.verify import verify

IS_SOAK: Final = os.environ.get("RANVIER_SOAK") == "1"
TURNS: Final = 300 if IS_SOAK else 15
SEED: Final = int(os.environ.get("RANVIER_SEED") or random.SystemRandom().randrange(1 << 32))
AHEAD_MAX: Final = 6
"""Prompts that wait at most: kills shall hit idle moments too."""
LIFE_SECONDS_MAX: Final = 1.5
"""A broker lives up to so long; every other one from when it began a turn on, so that the queue
moves however slow the machine is. Some lives end before they have begun."""

OUTBOX_MIB: Final = 64
"""Eight mebibytes of unwritten payloads at most, as Python holds them, with their JSON."""

pytestmark = pytest.mark.slow


def script(dice: random.Random, number: int) -> str:
    """What a turn does; no two prompts are alike."""
    acts = [
        "[[say Hello.]]",
        f"[[slow {dice.randrange(1, 30)} {dice.randrange(1, 12)}]]",
        "[[tool ls]]",
        f"[[big {dice.randrange(1, 200_000)}]]",
        "[[chunks 300]]",
    ]
    played = " ".join(dice.choices(acts, k=dice.randrange(1, 4)))
    ending = " [[exit 3]]" if dice.random() < 0.05 else ""
    return f"Prompt {number}. {played} [[say End{number}.]]{ending}"


class Killer:
    """Kills the box's broker again and again, and starts the next one, until cancelled."""

    def __init__(self, box: Box, dice: random.Random) -> None:
        self._box = box
        self._dice = dice
        self.kills = 0

    async def run(self) -> None:
        while True:
            if self.kills % 2:
                await self._next_turn()
            await asyncio.sleep(self._dice.random() ** 2 * LIFE_SECONDS_MAX)
            self._box.stop_broker(by=signal.SIGKILL)
            self.kills += 1
            self._box.start_broker()

    async def _next_turn(self) -> None:
        before = turns_started(self._box)
        await self._box.until("no turn", lambda: turns_started(self._box) > before)


async def publish_all(box: Box, dice: random.Random) -> dict[int, str]:
    """Publish the prompts, never too many ahead; return what was acknowledged by sequence."""
    acknowledged: dict[int, str] = {}
    for number in range(TURNS):
        text = json.dumps({"content": script(dice, number)})
        acknowledged[await box.publish("user.message", text)] = text
        await box.until("the queue does not move", lambda: waiting(box, acknowledged) < AHEAD_MAX)
        await asyncio.sleep(dice.random() * 0.2)
    return acknowledged


def waiting(box: Box, acknowledged: dict[int, str]) -> int:
    return len(acknowledged) - turns_started(box)


def turns_started(box: Box) -> int:
    return len(box.of_type("turn.started"))


def prompts_of_the_agent(home: Path) -> Counter[str]:
    """Every prompt that the agent ever saw, over all its processes."""
    files = (home / ".scripted").glob("*.json")
    return Counter(text for file in files for text in json.loads(file.read_text()))


async def test_a_broker_killed_at_any_moment_breaks_no_promise(devbox: Box) -> None:
    dice = random.Random(SEED)
    killer = Killer(devbox, random.Random(SEED + 1))
    devbox.start()
    async with asyncio.TaskGroup() as group:
        killing = group.create_task(killer.run())
        acknowledged = await publish_all(devbox, dice)
        killing.cancel()
    ends = [await devbox.ended(trigger) for trigger in acknowledged]
    events = devbox.journal
    why = f"RANVIER_SEED={SEED}, {killer.kills} kills"
    print(why, Counter(end["event_type"] for end in ends))
    assert verify(events, acknowledged=acknowledged, is_idle=True) == [], why
    # The agent saw no prompt twice, and each that a turn was completed for.
    seen = prompts_of_the_agent(devbox.folder / "home")
    assert set(seen.values()) <= {1}, why
    for trigger, end in zip(acknowledged, ends, strict=True):
        if end["event_type"] == "turn.completed":
            assert seen[json.loads(acknowledged[trigger])["content"]] == 1, why
    # The checker is awake: it sees what was not there before.
    assert verify([*events[:-1], events[-2], events[-1]], is_idle=True)
    assert verify(events[:3] + events[4:], is_idle=True)


async def test_a_stale_broker_that_comes_back_appends_nothing(
    devbox: Box, server: Server, tmp_path: Path
) -> None:
    """Its pod was given up while it was paused; agent and broker there go on talking later."""
    devbox.start()
    trigger = await devbox.publish("user.message", {"content": "[[say On.]] [[slow 5 100000]]"})
    await devbox.until("no words", lambda: devbox.find("turn.message_chunk", trigger))
    assert devbox.broker is not None
    devbox.broker.send_signal(signal.SIGSTOP)
    replacement = Box(
        server, tmp_path / "other", devbox.uid, protocol=devbox.protocol, agent=devbox.agent
    )
    async with replacement:
        replacement.start()
        end = await devbox.ended(trigger)
        assert end["event_type"] == "turn.failed"
        devbox.broker.send_signal(signal.SIGCONT)
        assert await asyncio.to_thread(devbox.broker.wait, FACT_SECONDS_MAX) == 0
        last = await devbox.publish("user.message", {"content": "[[say Fresh.]]"})
        assert (await devbox.ended(last))["event_type"] == "turn.completed"
    assert devbox.agents() == []
    assert verify(devbox.journal, is_idle=True) == []
    after = [e for e in devbox.events if e["sequence"] > end["sequence"]]
    assert not any("tick" in event["payload"] for event in after)


async def test_ten_thousand_chunks_are_in_the_journal_byte_for_byte(devbox: Box) -> None:
    """And the broker keeps no more of them than it must."""
    transcript = devbox.folder / "printed"
    devbox.environment = {"SCRIPTED_TRANSCRIPT": str(transcript)}
    devbox.start()
    await devbox.seen("devbox.running")
    assert devbox.broker is not None
    before_mib = peak_mib(devbox.broker.pid)
    trigger = await devbox.publish("user.message", {"content": "[[chunks 10000]]"})
    assert (await devbox.ended(trigger))["event_type"] == "turn.completed"
    printed = [line for line in transcript.read_text().splitlines() if "Chunk" in line]
    told = [
        event["payload"]
        for event in devbox.events
        if event["origin"] == "AGENT_EVENT" and event["event_type"] != "turn.message_chunk"
    ]
    if devbox.protocol == "acp":  # there the payload is the bare `params`, to the last byte
        printed = [line[line.index('"params": ') + len('"params": ') : -1] for line in printed]
    assert len(printed) >= 10_000
    assert [text for text in told if "Chunk" in text] == printed
    chunks = [e for e in devbox.events if e["event_type"] == "turn.message_chunk"]
    assert len(chunks) == 10_000
    assert payload(chunks[-1])["content"].startswith("Chunk 9999 ")
    assert peak_mib(devbox.broker.pid) < before_mib + OUTBOX_MIB
