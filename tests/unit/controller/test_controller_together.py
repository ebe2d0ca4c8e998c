"""Watch events in, pods out: the whole operator on a fake cluster and journal, in real time."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from ranvier_operator.clock import SystemClock
from ranvier_operator.controller import Controller
from ranvier_operator.kinds import AXONS, BLUEPRINTS, CLAIMS, DEVBOXES, PODS, Key
from ranvier_operator.settings import Settings
from ranvier_operator.testing import FakeCluster, FakeJournal
from ranvier_operator.testing.world import HERE, NAME, SPEC

BOUND = 10.0
BOX = Key("Devbox", HERE, NAME)


class Plant:
    """A cluster and a journal that several operators may share."""

    def __init__(self) -> None:
        self.clock = SystemClock()
        self.cluster = FakeCluster(self.clock)
        self.journal = FakeJournal(self.clock)

    @asynccontextmanager
    async def operator(
        self, identity: str = "a", journal: FakeJournal | None = None
    ) -> AsyncIterator[tuple[Controller, asyncio.Event]]:
        """An operator with its watches, until the block ends or it is stopped."""
        settings = Settings(identity=identity, workers=4)
        controller = Controller(self.cluster, journal or self.journal, settings, self.clock)
        self.cluster.watchers.append(controller.observe)
        stop = asyncio.Event()
        async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
            group.create_task(controller.run(stop))
            yield controller, stop
            stop.set()
        self.cluster.watchers.remove(controller.observe)

    def apply(self) -> None:
        self.cluster.apply(AXONS, HERE, NAME, {})
        self.cluster.apply(DEVBOXES, HERE, NAME, SPEC)


async def until(holds: Callable[[], object]) -> None:
    for _ in range(int(BOUND * 200)):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("not within the bound")


async def test_an_applied_devbox_gets_its_pod() -> None:
    plant = Plant()
    async with plant.operator():
        plant.apply()
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        body = plant.cluster.peek(DEVBOXES, HERE, NAME)
        assert body is not None
        await until(lambda: plant.cluster.peek(AXONS, HERE, NAME)["status"]["axonId"])  # type: ignore[index]


async def test_what_was_applied_while_it_was_away_is_found_at_its_start() -> None:
    plant = Plant()
    plant.apply()
    async with plant.operator():
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))


async def test_a_pod_that_is_deleted_comes_back_without_a_wait() -> None:
    plant = Plant()
    async with plant.operator():
        plant.apply()
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        first = plant.cluster.peek(PODS, HERE, NAME)
        plant.cluster.erase(PODS, HERE, NAME)
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        assert first != plant.cluster.peek(PODS, HERE, NAME)


async def test_of_two_operators_one_acts_and_the_other_takes_over_at_once_on_a_clean_end() -> None:
    plant = Plant()
    async with plant.operator("a") as (one, stop), plant.operator("b") as (other, _):
        plant.apply()
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        assert one.election.leading != other.election.leading
        leader, standby = (one, other) if one.election.leading else (other, one)
        if leader is one:
            stop.set()
            await until(lambda: standby.election.leading)
            plant.cluster.erase(PODS, HERE, NAME)
            await until(lambda: plant.cluster.peek(PODS, HERE, NAME))


async def test_it_begins_although_the_journal_is_away() -> None:
    """A call to wake is enough; the sweep of bindings waits."""
    plant = Plant()
    async with plant.operator():
        plant.apply()
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
    uid = plant.cluster.peek(DEVBOXES, HERE, NAME)["metadata"]["uid"]  # type: ignore[index]
    plant.cluster.erase(PODS, HERE, NAME)
    plant.journal.boxes[uid].generation = 2
    asleep = {
        "type": "Suspended",
        "status": "True",
        "reason": "Idle",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    status = {"sleepGeneration": 2, "wake": wake(generation=2), "conditions": [asleep]}
    plant.cluster.report(DEVBOXES, HERE, NAME, {"status": status})
    plant.journal.reachable = False
    async with plant.operator("b") as (controller, _):
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        page = controller.metrics.page().decode()
        assert 'ranvier_operator_wake_seconds_count{phase="created"} 1.0' in page
        assert "ranvier_operator_leading 1.0" in page
        looked = 'ranvier_reconcile_seconds_count{kind="Devbox"}'
        await until(lambda: looked in controller.metrics.page().decode())


async def test_a_lost_poke_is_repaired_within_five_seconds() -> None:
    """W2: the journal is asked who is out of step."""
    plant = Plant()
    async with plant.operator():
        plant.apply()
        await until(lambda: plant.cluster.peek(PODS, HERE, NAME))
        uid = plant.cluster.peek(DEVBOXES, HERE, NAME)["metadata"]["uid"]  # type: ignore[index]
        box = plant.journal.boxes[uid]
        box.generation, box.asleep = 2, True
        plant.cluster.erase(PODS, HERE, NAME)
        await until(lambda: suspended(plant))
        plant.journal.publish(box.binding.mounts[0].axon_id)
        async with asyncio.timeout(5):
            await until(lambda: plant.cluster.peek(PODS, HERE, NAME))


async def test_changes_are_told_to_whom_they_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant()
    controller = Controller(plant.cluster, plant.journal, Settings(), plant.clock)
    told: list[Key] = []

    def tell(key: Key, *, urgent: bool = True) -> None:
        told.append(key)

    monkeypatch.setattr(controller.queue, "add", tell)
    plant.cluster.watchers.append(controller.observe)
    spec = {**SPEC, "image": None, "blueprintName": "plan"}
    plant.cluster.apply(DEVBOXES, HERE, NAME, spec)
    assert told == [BOX]
    told.clear()
    plant.cluster.apply(AXONS, HERE, NAME, {})
    assert told == [Key("Axon", HERE, NAME), BOX]
    told.clear()
    plant.cluster.report(AXONS, HERE, NAME, {"status": {"head": 7}})
    assert told == [Key("Axon", HERE, NAME)]
    told.clear()
    plant.cluster.apply(BLUEPRINTS, HERE, "plan", {"image": "agents:1"})
    assert told == [Key("Blueprint", HERE, "plan"), BOX]
    told.clear()
    for kind, name in ((PODS, NAME), (CLAIMS, f"{NAME}-home")):
        body = {"metadata": {"namespace": HERE, "name": name, "labels": {"ranvier.dev/devbox": ""}}}
        await plant.cluster.create(kind, {**body, "spec": {}})
        assert told.pop() == BOX
        plant.cluster.erase(kind, HERE, name)
        assert told.pop() == BOX
        assert not told


def suspended(plant: Plant) -> bool:
    body = plant.cluster.peek(DEVBOXES, HERE, NAME)
    assert body is not None
    conditions = {item["type"]: item["status"] for item in body["status"]["conditions"]}
    return bool(conditions["Suspended"] == "True")


def wake(generation: int) -> dict[str, object]:
    moment = "2027-01-15T08:00:00Z"
    return {"generation": generation, "axonId": "axn_1", "sequence": 1, "time": moment}
