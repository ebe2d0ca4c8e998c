"""What makes a devbox fail: one reason with a remedy, one record, and its axons hear of it once."""

from typing import Any

import pytest
from ranvier.resources import ConditionType, ReadyReason
from ranvier_operator.errors import Refused
from ranvier_operator.kinds import DEVBOXES, PODS
from ranvier_operator.testing import World
from ranvier_operator.testing.world import HERE, NAME

READY = ConditionType.READY


@pytest.fixture
def world() -> World:
    return World()


def told(world: World) -> list[str]:
    """The reasons that its axons heard of, in order."""
    return [failure.reason for uid, failure in world.journal.told if uid == world.uid]


def last(world: World) -> str | None:
    failure = world.devbox.status.last_failure
    return failure.reason if failure is not None else None


async def test_a_kill_for_memory_is_told_though_it_runs_again_at_once(world: World) -> None:
    await world.run()
    world.clock.advance(5)
    world.kill_for_memory()
    await world.look()
    assert world.says(READY) == ("True", "AgentReady")
    assert (last(world), told(world)) == ("OutOfMemory", ["OutOfMemory"])
    message = world.journal.told[0][1].message
    assert "Container devbox was killed" in message
    assert "Raise `resources.limits.memory`" in message
    world.clock.advance(5)
    world.kill_for_memory(restarts=2)
    await world.look()
    assert told(world) == ["OutOfMemory"] * 2


async def test_looking_again_tells_nothing_again_and_writes_nothing(world: World) -> None:
    await world.run()
    world.kill_for_memory()
    await world.look()
    world.cluster.writes.clear()
    asked = world.journal.asked
    for _ in range(3):
        world.clock.advance(1)
        await world.look()
    assert world.cluster.writes == []
    assert world.journal.asked == asked
    assert told(world) == ["OutOfMemory"]


async def test_an_operator_that_died_before_it_told_tells_after_its_restart(world: World) -> None:
    """The record is written first; what was told already is told again and appended once."""
    await world.run()
    world.kill_for_memory()
    world.journal.reachable = False
    await world.look()
    assert (last(world), told(world)) == ("OutOfMemory", [])
    world.journal.reachable = True
    for _ in range(2):
        world.restart()
        await world.settle()
        assert told(world) == ["OutOfMemory"]


async def test_what_happened_long_ago_is_no_news(world: World) -> None:
    await world.run(lifecycle={})
    world.kill_for_memory()
    world.journal.reachable = False
    await world.look()
    world.clock.advance(3601)
    world.journal.reachable = True
    await world.look()
    assert (last(world), told(world)) == ("OutOfMemory", [])


@pytest.mark.parametrize(
    ("reason", "message", "expected"),
    [
        ("Evicted", "The node was low on resource: memory.", "Evicted"),
        ("Evicted", "The node was low on resource: ephemeral-storage.", "OutOfDisk"),
        ("Evicted", "Usage of EmptyDir volume exceeds the limit.", "OutOfDisk"),
        ("Preempting", "Preempted in order to admit critical pod", "Evicted"),
        ("Terminated", "Pod was terminated in response to imminent node shutdown.", "NodeLost"),
        ("UnexpectedAdmissionError", "no device", "PodFailed"),
    ],
)
async def test_a_pod_that_ended_says_why_and_a_new_one_follows(
    world: World, reason: str, message: str, expected: str
) -> None:
    await world.run()
    world.clock.advance(5)
    world.fail_pod(reason, message)
    await world.look()
    assert world.says(READY) == ("False", expected)
    condition = world.condition(READY)
    assert condition is not None
    assert ReadyReason(expected).action in condition.message
    world.end_pod()
    await world.look()
    assert world.pod is not None
    assert (last(world), told(world)) == (expected, [expected])


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("EvictionByEvictionAPI", "Evicted"),
        ("PreemptionByScheduler", "Evicted"),
        ("DeletionByTaintManager", "NodeLost"),
        ("DeletionByPodGC", "NodeLost"),
    ],
)
async def test_a_pod_that_kubernetes_takes_away_says_why(
    world: World, reason: str, expected: str
) -> None:
    await world.run()
    world.clock.advance(5)
    world.disrupt_pod(reason, "because of this")
    await world.look()
    assert world.says(READY) == ("False", expected)
    assert told(world) == [expected]
    assert "because of this" in world.journal.told[0][1].message
    world.end_pod()
    await world.look()
    assert world.pod is not None
    assert told(world) == [expected]


OBSTACLES: list[tuple[dict[str, Any], str, float]] = [
    (
        {"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]},
        "Unschedulable",
        600,
    ),
    (
        {
            "containerStatuses": [
                {"name": "devbox", "image": "x", "state": {"waiting": {"reason": "ErrImagePull"}}}
            ]
        },
        "ImagePullFailed",
        60,
    ),
]


@pytest.mark.parametrize(("status", "expected", "patience"), OBSTACLES)
async def test_an_obstacle_is_a_failure_only_when_it_stays(
    world: World, status: dict[str, Any], expected: str, patience: float
) -> None:
    await world.begin()
    world.cluster.report(PODS, HERE, NAME, {"status": {"phase": "Pending", **status}})
    world.clock.advance(patience - 3)
    again = await world.look()
    assert world.says(READY) == ("False", expected)
    assert told(world) == []
    assert again is not None
    assert again <= 3, "nobody will tell that the time is over"
    world.clock.advance(3)
    await world.look()
    assert told(world) == [expected]
    world.clock.advance(3600)
    await world.look()
    assert told(world) == [expected]


async def test_a_quota_that_stays_full_is_a_failure_in_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object) -> None:
        raise Refused("pods is forbidden: exceeded quota: pods=1", status=403)

    await world.run()
    await world.sleep()
    world.publish()
    monkeypatch.setattr(world.cluster, "create", refuse)
    waited = 0.0
    while waited < 120 and not told(world):
        again = await world.look()
        assert again is not None
        world.clock.advance(again)
        waited += again
    assert waited >= 60
    assert told(world) == ["QuotaExceeded"]
    monkeypatch.undo()
    world.clock.advance(300)
    await world.look()
    assert world.pod is not None


async def test_a_full_home_is_told_once_and_is_over_when_there_is_room(world: World) -> None:
    def sidecar_says(generation: int | None) -> None:
        full = {"generation": generation, "size": "9 MiB", "time": world.cluster.time_text()}
        body = {"homeFull": None if generation is None else full}
        world.cluster.report(DEVBOXES, HERE, NAME, {"status": body})

    await world.run()
    sidecar_says(world.pod_generation)
    for _ in range(2):
        await world.look()
        assert world.says(READY) == ("False", "HomeFull")
        condition = world.condition(READY)
        assert condition is not None
        assert "The home volume of 9 MiB is full. Remove files" in condition.message
        assert (last(world), told(world)) == ("HomeFull", ["HomeFull"])
    sidecar_says(None)
    await world.look()
    assert world.says(READY) == ("True", "AgentReady")
    assert world.pod is not None


async def test_what_the_sidecar_of_an_earlier_pod_said_is_history(world: World) -> None:
    await world.run()
    full = {"generation": 0, "size": "9 MiB", "time": world.cluster.time_text()}
    world.cluster.report(DEVBOXES, HERE, NAME, {"status": {"homeFull": full}})
    await world.look()
    assert world.says(READY) == ("True", "AgentReady")


async def test_a_sleep_and_an_end_are_no_failures(world: World) -> None:
    await world.run()
    await world.sleep()
    world.publish()
    await world.look()
    world.start_pod()
    world.broker_attaches()
    await world.look()
    assert (last(world), told(world)) == (None, [])
