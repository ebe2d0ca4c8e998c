"""What idle devboxes cost: writes to the Kubernetes API server, and memory.

Many devboxes are made suspended, or run once and fall asleep, and are left alone. Writes are
counted from the API server's own metrics; that none of them was about these devboxes is seen once
more by their resource versions, also on a cluster where others are at work. Memory is the kubelet's
figure. The exit status says whether nothing was written and the operator stayed below its bound.
"""

import argparse
import asyncio
import signal
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from ranvier import AsyncRanvier

from stage.fleet import SMALL, Fleet, make_namespace, remove_namespace, scripted_mount
from stage.forward import ApiForward
from stage.kube_calls import Kube, KubeProxy
from stage.release import IMAGE, api_key
from stage.release import NAMESPACE as SYSTEM
from stage.request_counts import counts, sorted_out, writes
from stage.shell import cluster_environment

NAMESPACE: Final = "bench-idle"
OPERATOR_MIB_WANTED: Final = 300.0
SETTLE_SECONDS: Final = 70.0
"""Longer than the operator's sweep, so that whatever it has left to write is written."""
EVENTS_SAID_MAX: Final = 10
NEVER_RAN: Final[Mapping[str, Any]] = {"image": IMAGE, "operatingMode": "Suspended"}
RAN_BEFORE: Final[Mapping[str, Any]] = {
    "image": IMAGE,
    "resources": SMALL,
    "lifecycle": {"afterIdle": {"idleTimeSeconds": 5, "onIdle": "Suspend"}},
}
COMPONENTS: Final = ("operator", "apiserver")


async def versions(kube: Kube) -> dict[str, str]:
    """The resource version of everything in the namespace that Ranvier could write."""
    here = f"namespaces/{NAMESPACE}"
    paths = (
        f"/apis/ranvier.dev/v1alpha1/{here}/devboxes",
        *(f"/api/v1/{here}/{plural}" for plural in ("pods", "persistentvolumeclaims", "events")),
    )
    return {
        f"{path.rpartition('/')[2]}/{body['metadata']['name']}": body["metadata"]["resourceVersion"]
        for path in paths
        for body in await kube.items(path)
    }


async def told(kube: Kube) -> dict[str, tuple[str, str]]:
    """Every event of the cluster: its resource version, and who tells what of what."""
    return {
        body["metadata"]["uid"]: (body["metadata"]["resourceVersion"], _sentence(body))
        for body in await kube.items("/api/v1/events")
    }


def _sentence(event: Mapping[str, Any]) -> str:
    teller = event.get("reportingComponent") or event.get("source", {}).get("component", "?")
    about = event["involvedObject"]
    return (
        f"{teller}: {event.get('reason')} of {about.get('kind')}, {event['metadata']['namespace']}"
    )


async def memory_mib(kube: Kube) -> dict[str, float]:
    """Working set of each component's container, as the kubelet that runs it says."""
    found: dict[str, float] = {}
    for pod in await kube.items(f"/api/v1/namespaces/{SYSTEM}/pods"):
        node = pod["spec"].get("nodeName")
        component = pod["metadata"]["labels"].get("app.kubernetes.io/component")
        if not node or component not in COMPONENTS:
            continue
        summary = await kube.get(f"/api/v1/nodes/{node}/proxy/stats/summary")
        for stats in summary["pods"]:
            if stats["podRef"]["name"] == pod["metadata"]["name"]:
                used = sum(c["memory"]["workingSetBytes"] for c in stats["containers"])
                found[component] = max(found.get(component, 0.0), used / 2**20)
    return found


async def measure(env: Mapping[str, str], proxy: str, url: str, options: Any) -> bool:
    run = asyncio.current_task()
    assert run is not None
    # Also a run that is told to end leaves nothing behind.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, run.cancel)
    kube = Kube(proxy)
    async with AsyncRanvier(url, api_key(env)) as ranvier:
        spec = RAN_BEFORE if options.ran else NEVER_RAN
        fleet = Fleet(kube, ranvier, NAMESPACE, options.devboxes, spec, scripted_mount())
        try:
            await make_namespace(kube, NAMESPACE)
            await fleet.make()
            await fleet.until("Suspended", "devboxes that are suspended")
            await asyncio.sleep(SETTLE_SECONDS)
            return await watch_nothing_happen(kube, options.devboxes, options.seconds)
        finally:
            await remove_namespace(kube, NAMESPACE)
            await fleet.remove_axons()
            await kube.close()


async def watch_nothing_happen(kube: Kube, devboxes: int, seconds: float) -> bool:
    """The time itself, and what was found after it."""
    known, events = await versions(kube), await told(kube)
    before = counts(await kube.text("/metrics"))
    await asyncio.sleep(seconds)
    after, now = counts(await kube.text("/metrics")), await versions(kube)
    news = Counter(what for _, what in set((await told(kube)).values()) - set(events.values()))
    memory = await memory_mib(kube)
    apart, others = sorted_out(writes(before, after))
    changed = sorted(set(known.items()) ^ set(now.items()))
    print(f"\n{devboxes} suspended devboxes, left alone for {seconds:g} s")
    print(f"  objects of theirs that were written   {len(changed):6}     (wanted 0)")
    print(f"  writes to the API server, all in all  {others.total():6}     (wanted 0)")
    for request, count in others.most_common():
        answer = ", refused" if request.refused else ""
        print(f"    {request.verb} {request.resource}{answer}: {count}")
    for what, count in news.most_common(EVENTS_SAID_MAX):
        print(f"    events, {what}: {count}")
    print("  not counted:", ", ".join(f"{kind}: {n}" for kind, n in apart.items()) or "nothing")
    for component, mib in memory.items():
        wanted = f"     (wanted < {OPERATOR_MIB_WANTED:g})" if component == "operator" else ""
        print(f"  memory of the {component:<23} {mib:6.0f} MiB{wanted}")
    return not changed and not others and memory["operator"] < OPERATOR_MIB_WANTED


def main() -> int:
    parser = argparse.ArgumentParser(prog="hack/bench/idle", description=__doc__)
    parser.add_argument("--devboxes", type=int, default=1000, help="how many (1000)")
    parser.add_argument("--seconds", type=float, default=300, help="how long (300)")
    parser.add_argument(
        "--ran",
        action="store_true",
        help="each one ran before and sleeps by itself, with a volume; on one node, some dozens",
    )
    options = parser.parse_args()
    env = cluster_environment()
    with KubeProxy(env) as proxy, ApiForward(env) as forward:
        return 0 if asyncio.run(measure(env, proxy.url, forward.url, options)) else 1
