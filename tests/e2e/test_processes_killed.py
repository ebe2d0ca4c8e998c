"""Operator and API server are killed with kill -9 at random moments while devboxes sleep and wake:
every event's turn runs once, every devbox ends as it should, and nothing is left over.

`RANVIER_SOAK=1` runs 100 rounds.
"""

import asyncio
import contextlib
import json
import os
import random
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
from journeys import SYSTEM, kubectl, lease_holder, until
from process_kills import PROCESSES, Killer
from ranvier import AsyncRanvier
from ranvier.events import TURN_TERMINALS, AxonEvent
from ranvier.verify import verify
from stage.fleet import SMALL, Fleet, condition, make_namespace, remove_namespace, scripted_mount
from stage.forward import ApiForward
from stage.kube_calls import Kube, KubeProxy
from stage.release import IMAGE

pytestmark = pytest.mark.disturbs_release

BOXES, ROUNDS_OF_EACH = (10, 10) if os.environ.get("RANVIER_SOAK") else (2, 2)
IDLE_SECONDS = 1
EARLY_SECONDS, LATE_SECONDS = 0.5, 4.0
"""The next publish falls from this long before the expected sleep to this long after: before the
decision, while the pod ends, and when it is gone."""
ASLEEP_FIRST = 0.5
"""The share of the rounds whose publish waits for the sleep itself: while one process or the other
is away most of the time, few sleeps come when they are expected."""
GONE_SECONDS = 3.0
"""Such a publish falls within this time after the sleep was granted."""
KILL_PAUSE_SECONDS = (0.0, 30.0)
"""Between the return of what was killed and the next kill. An operator that comes back leads when
its predecessor's lease is over, after 15 s: kills fall before that, and while it acts."""
TURN_SECONDS_MAX = 240.0
"""A turn waits for both processes to come back, which Kubernetes delays."""
RETRIES = 60
PAYLOAD = json.dumps({"content": "rest 2 1"})
SEED = 20261121


@pytest.fixture
async def fleet(env: Mapping[str, str], api: ApiForward, key: str) -> AsyncIterator[Fleet]:
    namespace = f"e2e-kills-{uuid.uuid4().hex[:8]}"
    spec = {
        "image": IMAGE,
        "resources": SMALL,
        "lifecycle": {"afterIdle": {"idleTimeSeconds": IDLE_SECONDS, "onIdle": "Suspend"}},
    }
    with KubeProxy(env) as proxy:
        kube = Kube(proxy.url)
        async with AsyncRanvier(api.url, key, retries=RETRIES) as ranvier:
            fleet = Fleet(kube, ranvier, namespace, BOXES, spec, scripted_mount())
            await make_namespace(kube, namespace)
            try:
                yield fleet
            finally:
                await remove_namespace(kube, namespace)
                await fleet.remove_axons()
                await kube.close()


async def test_kill_9_at_random_moments_loses_no_turn_and_leaves_nothing_behind(
    env: Mapping[str, str], fleet: Fleet
) -> None:
    chance = random.Random(SEED)
    killer = Killer(env)
    await fleet.make()
    await fleet.until("Suspended", "devboxes that were started and sleep")
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        kills = group.create_task(kill_at_random(killer, chance, over))
        boxes = [
            group.create_task(converse(fleet, name, random.Random(f"{SEED} {name}")))
            for name in fleet.names
        ]
        await asyncio.wait(boxes)
        over.set()
        await kills
    sleeps = sum(box.result() for box in boxes)
    rounds = BOXES * ROUNDS_OF_EACH
    print(f"{rounds} rounds, {sleeps} sleeps between them, killed: {killer.killed}")
    assert all(killer.killed.values())
    assert sleeps >= rounds * ASLEEP_FIRST / 2
    await check_ends(env, fleet)
    await check_nothing_is_left(fleet)


async def kill_at_random(killer: Killer, chance: random.Random, over: asyncio.Event) -> None:
    """One or both, again and again, each at least once."""
    while not over.is_set() or not all(killer.killed.values()):
        await asyncio.sleep(chance.uniform(*KILL_PAUSE_SECONDS))
        never = [name for name in PROCESSES if not killer.killed[name]]
        victims = never[:1] or chance.choice([PROCESSES, PROCESSES[:1], PROCESSES[1:]])
        for component in victims:
            await killer.kill(component)
        for component in PROCESSES:
            await killer.until_back(component)


async def converse(fleet: Fleet, name: str, chance: random.Random) -> int:
    """One devbox's rounds; its whole journal is checked. The number of sleeps between them."""
    axon_id = fleet.axons[name]
    acknowledged: dict[int, str] = {}
    seen: list[AxonEvent] = []
    for _ in range(ROUNDS_OF_EACH):
        published = await fleet.ranvier.axons.publish(axon_id, "user.message", PAYLOAD)
        acknowledged[published.sequence] = PAYLOAD
        async with asyncio.timeout(TURN_SECONDS_MAX):
            end = await turn_end(fleet.ranvier, axon_id, seen, published.sequence)
        assert end.event_type == "turn.completed", f"{name}: {end.payload}"
        publish_at = end.timestamp_ms / 1000 + IDLE_SECONDS
        if chance.random() < ASLEEP_FIRST:
            async with asyncio.timeout(TURN_SECONDS_MAX):
                await following(fleet.ranvier, axon_id, seen, is_sleep)
            publish_at = time.time() + chance.uniform(0.0, GONE_SECONDS)
        else:
            publish_at += chance.uniform(-EARLY_SECONDS, LATE_SECONDS)
        # The delay is what is tested: publishes fall anywhere around sleeps and kills.
        await asyncio.sleep(max(0.0, publish_at - time.time()))
    assert verify(seen, acknowledged, is_idle=True) == [], name
    starts = [json.loads(e.payload) for e in seen if e.event_type == "turn.started"]
    assert [start["trigger_sequence"] for start in starts] == sorted(acknowledged), name
    return sum(map(is_sleep, seen)) - 1  # the first was before the rounds


async def turn_end(
    ranvier: AsyncRanvier, axon_id: str, seen: list[AxonEvent], trigger: int
) -> AxonEvent:
    """The end of the trigger's turn."""

    def is_end(event: AxonEvent) -> bool:
        if event.event_type not in TURN_TERMINALS:
            return False
        return bool(json.loads(event.payload)["turn_id"].endswith(f"_{trigger}"))

    return await following(ranvier, axon_id, seen, is_end)


def is_sleep(event: AxonEvent) -> bool:
    return event.event_type == "devbox.suspended"


async def following(
    ranvier: AsyncRanvier,
    axon_id: str,
    seen: list[AxonEvent],
    is_awaited: Callable[[AxonEvent], bool],
) -> AxonEvent:
    """Follows the axon, after what is `seen` already, to the event that is awaited."""
    after = seen[-1].sequence if seen else 0
    async with contextlib.aclosing(ranvier.axons.subscribe(axon_id, after)) as events:
        async for event in events:
            seen.append(event)
            if is_awaited(event):
                return event
    raise AssertionError("the stream ended")


async def check_ends(env: Mapping[str, str], fleet: Fleet) -> None:
    """Those that shall run, run; all others sleep, and there is no pod but theirs."""
    runs = set(fleet.names[::2])
    for name in runs:
        await fleet.kube.patch(f"{fleet.path}/{name}", {"spec": {"lifecycle": {"afterIdle": None}}})
        await fleet.ranvier.axons.publish(fleet.axons[name], "user.message", PAYLOAD)

    async def as_promised() -> bool:
        states = {body["metadata"]["name"]: body for body in await fleet.kube.items(fleet.path)}
        pods = await fleet.kube.items(f"/api/v1/namespaces/{fleet.namespace}/pods")
        return {pod["metadata"]["name"] for pod in pods} == runs and all(
            condition(body, "Ready" if name in runs else "Suspended").get("status") == "True"
            for name, body in states.items()
        )

    await until("every devbox runs or sleeps as it should", as_promised)
    claims = await fleet.kube.items(f"/api/v1/namespaces/{fleet.namespace}/persistentvolumeclaims")
    assert {claim["metadata"]["name"] for claim in claims} == {f"{n}-home" for n in fleet.names}
    leases = await kubectl(env, "-n", SYSTEM, "get", "leases", "-o", "name")
    assert leases.split() == ["lease.coordination.k8s.io/ranvier-operator"]
    holder = await lease_holder(env)
    assert holder in await kubectl(env, "-n", SYSTEM, "get", "pods", "-o", "name")


async def check_nothing_is_left(fleet: Fleet) -> None:
    """When the devboxes are deleted, so are their pods, claims and volumes."""
    await fleet.kube.delete(fleet.path)

    async def gone() -> bool:
        here = f"/api/v1/namespaces/{fleet.namespace}"
        left = [
            *await fleet.kube.items(f"{here}/pods"),
            *await fleet.kube.items(f"{here}/persistentvolumeclaims"),
        ]
        volumes = await fleet.kube.items("/api/v1/persistentvolumes")
        claimed = [v for v in volumes if _namespace_of(v) == fleet.namespace]
        return not left and not claimed

    await until("pods, claims and volumes gone", gone)


def _namespace_of(volume: Mapping[str, object]) -> object:
    spec = volume["spec"]
    assert isinstance(spec, dict)
    return (spec.get("claimRef") or {}).get("namespace")
