"""What brokers read is found whatever agents said in between: the event, or the damage is told."""

import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from journal_databases import opened
from ranvier.events import INBOUND_ORIGINS, NewEvent, Origin
from ranvier.internal import DevboxBinding, MountBinding, SleepRequest
from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.event_filter import EventFilter
from ranvier_apiserver.journal import pages
from ranvier_apiserver.journal.engine_store import EngineStore
from ranvier_apiserver.journal.opening import FILE_NAME
from ranvier_apiserver.journal.store import Store

INBOUND = EventFilter(origins=INBOUND_ORIGINS)


async def told(store: Store, origins: list[Origin]) -> str:
    axon_id = (await store.create_axon(None, {})).axon_id
    await store.publish_many(axon_id, [NewEvent(origin, "s", "t", "{}") for origin in origins])
    return axon_id


async def read(store: Store, axon_id: str, after: int, limit: int) -> list[int]:
    """Every inbound event behind a cursor, page by page."""
    found: list[int] = []
    at_end = False
    while not at_end:
        page = await store.read_after(axon_id, after, limit, INBOUND)
        found += [event.sequence for event in page.events]
        after, at_end = page.cursor, page.at_end
    return found


async def read_back(store: Store, axon_id: str, before: int | None, limit: int) -> list[int]:
    found: list[int] = []
    while before != 1:
        history = await store.read_before(axon_id, before, limit, INBOUND)
        found += [event.sequence for event in history.events]
        before = history.cursor
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_every_cursor_is_answered_with_the_inbound_events_behind_it(
    store: EngineStore, seed: int
) -> None:
    chance = random.Random(seed)
    origins = chance.choices(list(Origin), weights=chance.choices((1, 5, 20), k=4), k=60)
    axon_id = await told(store, origins)
    inbound = [n for n, origin in enumerate(origins, start=1) if origin in INBOUND_ORIGINS]
    for after in range(len(origins) + 1):
        limit = chance.choice((1, 2, 100))
        assert await read(store, axon_id, after, limit) == [n for n in inbound if n > after]
        before = [n for n in reversed(inbound) if n <= after]
        assert await read_back(store, axon_id, after + 1, limit) == before


async def test_an_agents_output_is_passed_over_however_long_it_is(
    store: EngineStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCAN_EVENTS_MAX", 10)
    output = [Origin.AGENT] * 500
    axon_id = await told(store, [Origin.USER, *output, Origin.EXTERNAL, *output])
    first = await store.read_after(axon_id, 1, 100, INBOUND)
    assert ([event.sequence for event in first.events], first.cursor) == ([502], 511)
    rest = await store.read_after(axon_id, 511, 100, INBOUND)
    assert (list(rest.events), rest.cursor, rest.at_end) == ([], 1002, True)
    newest = await store.read_before(axon_id, None, 1, INBOUND)
    assert [event.sequence for event in newest.events] == [502]


async def test_a_wake_names_the_first_unread_event(store: EngineStore) -> None:
    axon_id = await told(store, [Origin.AGENT])
    mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
    await store.bind_devbox("box", DevboxBinding(namespace="ns", name="box", mounts=mounts))
    assert (
        await store.sleep("box", SleepRequest(generation=1, idle_seconds=0, force=True))
    ).granted
    output = [NewEvent(Origin.AGENT, "s", "t", "{}")] * 30
    prompt = NewEvent(Origin.USER, "s", "t", "{}")
    head = (await store.publish_many(axon_id, output)).sequence
    await store.publish_many(axon_id, [prompt, *output, prompt, prompt])
    (wake,) = await store.wakes()
    assert wake.sequence == head + 1


async def test_a_damaged_event_keeps_no_wake_and_no_other_axon_back(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        axon_id = await told(store, [Origin.AGENT])
        mounts = [MountBinding(index=0, axon_id=axon_id, protocol="acp")]
        await store.bind_devbox("box", DevboxBinding(namespace="ns", name="box", mounts=mounts))
        await store.sleep("box", SleepRequest(generation=1, idle_seconds=0, force=True))
        prompt = NewEvent(Origin.USER, "s", "t", "{}")
        head = (await store.publish_many(axon_id, [prompt] * 3)).sequence
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.execute("UPDATE event SET payload = 'x' WHERE sequence = ?", (head - 2,))
        connection.commit()
    async with opened(tmp_path) as store:
        assert [wake.devbox_uid for wake in await store.wakes()] == ["box"]
        assert (await store.publish(axon_id, prompt)).sequence == head + 1
        await told(store, [Origin.USER])
        assert store.is_healthy
        with pytest.raises(JournalDamaged):
            await store.read_after(axon_id, 0, 100, INBOUND)


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE event SET inbound = inbound + 1 WHERE sequence = ?",
        "UPDATE event SET inbound = inbound - 2 WHERE sequence = ?",
        "DELETE FROM event WHERE sequence = ?",
    ],
)
@pytest.mark.parametrize("seed", range(2))
async def test_no_damage_to_what_leads_there_hides_an_event(
    tmp_path: Path, damage: str, seed: int
) -> None:
    """To one row after the other: every answer is right, or is a refusal."""
    chance = random.Random(seed)
    origins = chance.choices(list(Origin), weights=(1, 6, 1, 6), k=24)
    inbound = [n for n, origin in enumerate(origins, start=1) if origin in INBOUND_ORIGINS]
    async with opened(tmp_path / "whole") as store:
        axon_id = await told(store, origins)
    refused = 0
    for sequence in range(1, len(origins)):
        folder = tmp_path / str(sequence)
        shutil.copytree(tmp_path / "whole", folder)
        # Going back, what stands before it still leads to the one before.
        lost = sequence if damage.startswith("DELETE") else None
        with closing(sqlite3.connect(folder / FILE_NAME)) as connection:
            connection.execute(damage, (sequence,))
            connection.commit()
        async with opened(folder) as store:
            for at in range(len(origins)):
                try:
                    found = (await store.read_after(axon_id, at, 1, INBOUND)).events
                except JournalDamaged:
                    refused += 1
                else:
                    assert [event.sequence for event in found] == [n for n in inbound if n > at][:1]
                try:
                    found = (await store.read_before(axon_id, at + 1, 1, INBOUND)).events
                except JournalDamaged:
                    refused += 1
                else:
                    known = [n for n in inbound if n <= at and n != lost]
                    assert [event.sequence for event in found] == known[-1:]
    assert refused
