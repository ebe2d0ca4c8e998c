"""A wake storm: many suspended devboxes, all woken at once by publishes.

First on this cluster's own node with a small scripted agent: every one runs its turn, and every
axon's history is checked. Then on simulated nodes, where no broker ever attaches: every one gets
its pod and says why it is not ready; publish → pod object is measured beside agent-sandbox, which
resumes as many sandboxes on the same API server in the same run. The exit status says whether all
of that held, and whether we were no slower at the 99th percentile.
"""

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kind.places import Places
from ranvier import AsyncRanvier
from ranvier.events import TURN_TERMINALS, AxonEvent
from ranvier.verify import verify

from stage.fleet import (
    FACT_SECONDS_MAX,
    SMALL,
    Fleet,
    FleetFailed,
    make_namespace,
    remove_namespace,
    scripted_mount,
)
from stage.forward import ApiForward
from stage.kube_calls import Kube, KubeProxy, PodSightings, settled
from stage.neighbour import (
    CONTROLLER,
    SandboxController,
    Sandboxes,
    install_crd,
    remove_crd,
    sandbox_pod,
)
from stage.release import IMAGE, api_key
from stage.shell import cluster_environment
from stage.simulated import (
    READY_LABEL,
    SELECTOR,
    STORAGE_CLASS,
    TOLERATIONS,
    SimulatedNodes,
    programs,
    remove,
)
from stage.storms import Contender, is_no_slower, percentile, table

REAL_NAMESPACE: Final = "storm-real"
SIMULATED_NAMESPACE: Final = "storm-simulated"
NEIGHBOUR_NAMESPACE: Final = "storm-sandboxes"
IDLE_SECONDS: Final = 5
QUIET_SECONDS: Final = 5.0
"""Before each storm, so that it does not meet the last writes of the one before."""
PAYLOAD: Final = json.dumps({"content": "rest 3 1"})
"""Three words of the scripted agent, a millisecond apart."""


@dataclass(frozen=True, slots=True)
class Here:
    """What every part of the run is given."""

    env: Mapping[str, str]
    kube: Kube
    ranvier: AsyncRanvier


# --- devboxes that run


async def real_storm(here: Here, count: int) -> bool:
    """Every one runs its turn; True when all histories are as they should be."""
    await make_namespace(here.kube, REAL_NAMESPACE)
    spec = {
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "resources": SMALL,
        "lifecycle": {"afterIdle": {"idleTimeSeconds": IDLE_SECONDS, "onIdle": "Suspend"}},
    }
    fleet = Fleet(here.kube, here.ranvier, REAL_NAMESPACE, count, spec, scripted_mount())
    try:
        await fleet.make()
        await fleet.until("Suspended", "devboxes that were started and sleep")
        async with PodSightings(here.kube, REAL_NAMESPACE) as pods:
            storm, acknowledged = await fleet.storm(pods, PAYLOAD)
            histories = await read_histories(fleet, acknowledged)
        say_real(fleet, storm.asked, Contender("Ranvier", "publish", [storm]), histories)
        return not storm.missing and faultless(fleet, acknowledged, histories)
    finally:
        await remove_namespace(here.kube, REAL_NAMESPACE)
        await fleet.remove_axons()


async def read_histories(
    fleet: Fleet, acknowledged: Mapping[str, int]
) -> dict[str, list[AxonEvent]]:
    """Each axon's events up to the end of the turn that was asked for."""
    histories: dict[str, list[AxonEvent]] = {}

    async def one(name: str) -> None:
        events = histories.setdefault(name, [])
        async with fleet.ranvier.axons.subscribe(fleet.axons[name]) as following:
            async for event in following:
                events.append(event)
                if event.event_type in TURN_TERMINALS:
                    return

    async with asyncio.timeout(FACT_SECONDS_MAX):
        async with asyncio.TaskGroup() as group:
            for name in acknowledged:
                group.create_task(one(name))
    return histories


def faultless(
    fleet: Fleet, acknowledged: Mapping[str, int], histories: Mapping[str, list[AxonEvent]]
) -> bool:
    """One turn each, completed, and no promise of the journal broken; says what is not so."""
    is_good = True
    for name in fleet.names:
        events = histories.get(name, [])
        found = verify(events, {acknowledged[name]: PAYLOAD}, is_idle=True)
        ends = [e.event_type for e in events if e.event_type in TURN_TERMINALS]
        if found or ends != ["turn.completed"]:
            print(f"{name}: {[finding.message for finding in found] or ends}")
            is_good = False
    return is_good


def say_real(
    fleet: Fleet,
    asked: Mapping[str, float],
    ours: Contender,
    histories: Mapping[str, list[AxonEvent]],
) -> None:
    print(f"\n{fleet.count} suspended devboxes on one node, woken at once, each runs its turn")
    print(table([ours]))
    for event_type in ("turn.started", "turn.completed"):
        delays = [
            event.timestamp_ms / 1000 - asked[name]
            for name, events in histories.items()
            for event in events
            if event.event_type == event_type
        ]
        if delays:
            p50, p99 = (percentile(delays, percent) for percent in (50, 99))
            print(f"publish → {event_type:<16} p50 {p50:6.2f} s   p99 {p99:6.2f} s", end="")
            print(f"   ({len(delays)} of {fleet.count})")


# --- devboxes on simulated nodes


async def simulated_storms(
    here: Here, built: Mapping[str, Path], count: int, rounds: int, workers: int
) -> bool:
    """Both contenders, turn about; True when all got their pods and we were no slower."""
    with SimulatedNodes(here.env, built["kwok"]) as nodes:
        try:
            return await _simulated(here, nodes, built[CONTROLLER], count, rounds, workers)
        except BaseException:
            print(nodes.said, file=sys.stderr)
            raise
        finally:
            for namespace in (SIMULATED_NAMESPACE, NEIGHBOUR_NAMESPACE):
                await remove_namespace(here.kube, namespace)
            await remove(here.kube)


async def _simulated(
    here: Here, nodes: SimulatedNodes, controller: Path, count: int, rounds: int, workers: int
) -> bool:
    fleet = await suspended_fleet(here, nodes, count)
    try:
        pod = await one_pod(here.kube)
        ours = Contender("Ranvier", "publish")
        theirs = Contender("agent-sandbox v0.2.1", "patch")
        with SandboxController(here.env, controller, workers):
            await make_namespace(here.kube, NEIGHBOUR_NAMESPACE)
            sandboxes = Sandboxes(here.kube, NEIGHBOUR_NAMESPACE, count, sandbox_pod(pod))
            async with (
                PodSightings(here.kube, SIMULATED_NAMESPACE) as our_pods,
                PodSightings(here.kube, NEIGHBOUR_NAMESPACE) as their_pods,
            ):
                await sandboxes.make()
                for number in range(rounds):
                    print(f"· storm {number + 1} of {rounds}", flush=True)
                    await sandboxes.suspend(their_pods)
                    await asyncio.sleep(QUIET_SECONDS)
                    theirs.storms.append(await sandboxes.storm(their_pods))
                    await put_to_sleep(fleet)
                    await asyncio.sleep(QUIET_SECONDS)
                    ours.storms.append((await fleet.storm(our_pods, PAYLOAD))[0])
                    said = await fleet.until_not_ready_says_why()
        return say_simulated(count, rounds, ours, theirs, said)
    finally:
        await remove_namespace(here.kube, SIMULATED_NAMESPACE)
        await fleet.remove_axons()


async def suspended_fleet(here: Here, nodes: SimulatedNodes, count: int) -> Fleet:
    """Devboxes on simulated nodes that have had a pod and a volume."""
    await make_namespace(here.kube, SIMULATED_NAMESPACE)
    await remove(here.kube)
    spec = {
        "image": IMAGE,
        "nodeSelector": SELECTOR,
        "tolerations": TOLERATIONS,
        "home": {"storageClassName": STORAGE_CLASS},
    }
    fleet = Fleet(here.kube, here.ranvier, SIMULATED_NAMESPACE, count, spec, scripted_mount())
    volumes = {f"storm-{name}": (SIMULATED_NAMESPACE, f"{name}-home") for name in fleet.names}
    await nodes.make(here.kube, volumes)

    async def ready() -> set[str]:
        return {"nodes"} if await nodes.is_ready(here.kube) else set()

    if await settled("simulated nodes", ["nodes"], ready, FACT_SECONDS_MAX):
        raise FleetFailed(f"the simulated nodes are not ready:\n{nodes.said}")
    await fleet.make()

    async def placed() -> set[str]:
        pods = await here.kube.items(f"/api/v1/namespaces/{SIMULATED_NAMESPACE}/pods")
        return {pod["metadata"]["name"] for pod in pods if pod["status"]["phase"] == "Running"}

    missing = await settled("devboxes with pod and volume", fleet.names, placed, FACT_SECONDS_MAX)
    if missing:
        raise FleetFailed(f"{len(missing)} devboxes have no running pod, {min(missing)} for one")
    return fleet


async def put_to_sleep(fleet: Fleet) -> None:
    """The REST API suspends what runs, so the pods seem ready first."""
    await fleet.label_pods(READY_LABEL)
    await fleet.until("Ready", "devboxes that seem to run")
    await fleet.suspend()
    await fleet.until("Suspended", "devboxes asleep")


async def one_pod(kube: Kube) -> dict[str, Any]:
    """The pod of a devbox, for the neighbour to be given the same."""
    return await kube.get(f"/api/v1/namespaces/{SIMULATED_NAMESPACE}/pods/box-0")


def say_simulated(
    count: int, rounds: int, ours: Contender, theirs: Contender, said: Mapping[str, int]
) -> bool:
    """The table and the verdict."""
    print(f"\n{count} suspended on simulated nodes, woken at once, {rounds} times")
    for one in (ours, theirs):
        if not one.is_complete:
            lost = [len(storm.missing) for storm in one.storms]
            print(f"{one.name}: so many got no pod in time, by storm: {lost}")
    print(table([ours, theirs]))
    for sentence, number in said.items():
        print(f"afterwards {number} of {count} say: {sentence}")
    complete = ours.is_complete and theirs.is_complete
    no_slower = is_no_slower(ours, theirs)
    print(f"at p99 we are {'no slower' if no_slower else 'SLOWER'}")
    return complete and no_slower


# --- the run


async def measure(env: Mapping[str, str], proxy: str, url: str, options: Any) -> bool:
    run = asyncio.current_task()
    assert run is not None
    # Also a run that is told to end leaves nothing behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.cancel)
    kube = Kube(proxy)
    try:
        async with AsyncRanvier(url, api_key(env)) as ranvier:
            here = Here(env, kube, ranvier)
            is_good = True
            if options.real:
                is_good = await real_storm(here, options.real)
            if options.devboxes:
                places = Places.from_environment()
                built = programs(places)
                try:
                    await install_crd(env, kube, places)
                    is_good &= await simulated_storms(
                        here, built, options.devboxes, options.rounds, options.sandbox_workers
                    )
                finally:
                    remove_crd(env)
            return is_good
    finally:
        await kube.close()


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/bench/storm", description=__doc__)
    parser.add_argument("--real", type=int, default=40, help="devboxes that run (40; 0: none)")
    parser.add_argument(
        "--devboxes", type=int, default=500, help="devboxes on simulated nodes (500; 0: none)"
    )
    parser.add_argument("--rounds", type=int, default=1, help="storms of each contender (1)")
    parser.add_argument(
        "--sandbox-workers", type=int, default=1, help="agent-sandbox's workers (1, its default)"
    )
    options = parser.parse_args()
    env = cluster_environment()
    with KubeProxy(env) as proxy, ApiForward(env) as forward:
        return 0 if asyncio.run(measure(env, proxy.url, forward.url, options)) else 1
