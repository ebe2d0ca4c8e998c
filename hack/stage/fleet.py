"""Many devboxes at once: made, put to sleep, woken by publishes, looked at, removed.

Axons are made through the REST API, devboxes as resources; what a devbox is like comes with the
caller's spec. Everything lives in one namespace.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ranvier import AsyncRanvier
from ranvier.events import devbox_id

from stage.kube_calls import Kube, PodSightings, RawObject, each, settled
from stage.storms import Storm

FACT_SECONDS_MAX: Final = 420.0
"""Longest wait for all of a fleet: forty pods with volumes on two busy cores take minutes."""
POD_SECONDS_MAX: Final = 300.0
"""Longest wait for the last pod object of a storm."""
AGENT: Final = Path(__file__).with_name("bench_agent.py")
SMALL: Final = {
    "requests": {"cpu": "10m", "memory": "32Mi"},
    "limits": {"memory": "128Mi"},
}
"""Resources of a devbox whose agent only prints."""


class FleetFailed(Exception):
    """Some did not come where all were awaited; the message names how many, and one of them."""


@dataclass(slots=True)
class Fleet:
    """Devboxes `box-0` … of one namespace. `spec` is all of theirs, without the mounts."""

    kube: Kube
    ranvier: AsyncRanvier
    namespace: str
    count: int
    spec: Mapping[str, Any]
    mount: Mapping[str, Any]
    axons: dict[str, str] = field(default_factory=dict)
    uids: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        return [f"box-{number}" for number in range(self.count)]

    @property
    def path(self) -> str:
        return f"/apis/ranvier.dev/v1alpha1/namespaces/{self.namespace}/devboxes"

    async def make(self) -> None:
        """An axon and a devbox each."""
        await each(self.names, self._make_one)

    async def _make_one(self, name: str) -> None:
        axon = await self.ranvier.axons.create(f"{self.namespace}-{name}")
        self.axons[name] = axon.id
        body = {
            "apiVersion": "ranvier.dev/v1alpha1",
            "kind": "Devbox",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                **self.spec,
                "mounts": [{"brokerMount": {**self.mount, "axonId": axon.id}}],
            },
        }
        made = await self.kube.create(self.path, body)
        self.uids[name] = made["metadata"]["uid"]

    async def suspend(self) -> None:
        """Ask the REST API for the sleep of every one."""

        async def one(name: str) -> None:
            await self.ranvier.devboxes.suspend(devbox_id(self.uids[name]))

        await each(self.names, one)

    async def label_pods(self, label: str) -> None:
        async def one(name: str) -> None:
            path = f"/api/v1/namespaces/{self.namespace}/pods/{name}"
            await self.kube.patch(path, {"metadata": {"labels": {label: "true"}}})

        await each(self.names, one)

    async def until(self, kind: str, what: str) -> None:
        """Wait until this condition holds of all."""

        async def holding() -> set[str]:
            return {
                body["metadata"]["name"]
                for body in await self.kube.items(self.path)
                if condition(body, kind).get("status") == "True"
            }

        self._require(what, await settled(what, self.names, holding, FACT_SECONDS_MAX))

    async def until_not_ready_says_why(self) -> dict[str, int]:
        """Wait until every devbox names the step that its start waits for; how many say what."""
        said: dict[str, str] = {}

        async def saying() -> set[str]:
            said.clear()
            for body in await self.kube.items(self.path):
                ready = condition(body, "Ready")
                name = body["metadata"]["name"]
                if ready.get("status") == "False" and "broker" in ready.get("message", ""):
                    said[name] = f"{ready['reason']}: {ready['message'].replace(name, 'NAME')}"
            return set(said)

        what = "devboxes that say why they are not ready"
        self._require(what, await settled(what, self.names, saying, FACT_SECONDS_MAX))
        sentences = list(said.values())
        return {sentence: sentences.count(sentence) for sentence in sorted(set(sentences))}

    async def storm(self, pods: PodSightings, payload: str) -> tuple[Storm, dict[str, int]]:
        """Publish to all at once. The storm, and by name the sequence that was acknowledged."""
        acknowledged: dict[str, int] = {}
        asked: dict[str, float] = {}

        async def publish(name: str) -> None:
            asked[name] = time.time()
            published = await self.ranvier.axons.publish(self.axons[name], "user.message", payload)
            acknowledged[name] = published.sequence

        pods.begin()
        await each(self.names, publish)
        await pods.until(lambda: set(self.names) <= set(pods.first), POD_SECONDS_MAX)
        return Storm(asked, dict(pods.first)), acknowledged

    async def remove_axons(self) -> None:
        """The namespace's end takes the devboxes; their axons are the journal's."""

        async def one(name: str) -> None:
            await self.ranvier.axons.delete(self.axons[name])

        await each(list(self.axons), one)

    def _require(self, what: str, missing: set[str]) -> None:
        if missing:
            raise FleetFailed(
                f"{what}: {len(missing)} of {self.count} did not within "
                f"{FACT_SECONDS_MAX:.0f} s, {min(missing)} of namespace {self.namespace} for one"
            )


def scripted_mount() -> dict[str, Any]:
    """The scripted agent, carried in its own command line: the image needs Python alone."""
    code = AGENT.read_text()
    args = ["-c", code, "app-server"]
    return {"protocol": "codex_app_server", "agentBinary": "python3", "launchArgs": args}


def condition(body: Mapping[str, Any], kind: str) -> RawObject:
    """A condition of an object, or {}."""
    conditions: Sequence[RawObject] = body.get("status", {}).get("conditions", [])
    return next((c for c in conditions if c["type"] == kind), {})


async def make_namespace(kube: Kube, name: str) -> None:
    """A new one; one that an earlier run left is removed first."""
    await remove_namespace(kube, name)
    await kube.create("/api/v1/namespaces", {"metadata": {"name": name}})
    path = f"/api/v1/namespaces/{name}/serviceaccounts/default"

    async def there() -> set[str]:
        return {name} if await kube.find(path) else set()

    if await settled(f"namespace {name}", [name], there, POD_SECONDS_MAX):
        raise FleetFailed(f"namespace {name} has no ServiceAccount `default`")


async def remove_namespace(kube: Kube, name: str) -> None:
    """With all that is in it, and wait for that."""
    path = f"/api/v1/namespaces/{name}"

    async def gone() -> set[str]:
        return set() if await kube.find(path) else {name}

    await kube.delete(path)
    if await settled(f"end of namespace {name}", [name], gone, FACT_SECONDS_MAX):
        raise FleetFailed(f"namespace {name} does not end; `kubectl get namespace {name} -o yaml`")
