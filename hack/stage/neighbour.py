"""agent-sandbox beside us: its own controller on the same API server, resuming as many sandboxes.

A Sandbox is suspended by `replicas: 0`, which deletes its pod, and resumed by `replicas: 1`. The
controller runs as a process with its own defaults; what it is given is the pod of a devbox without
the claim, so it has a little less to do per pod than we have.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kind.errors import Failure
from kind.go_programs import module_files
from kind.places import Places
from kind.processes import answer
from kind.progress import Progress
from kind.recipe import STORM_PROGRAMS
from ranvier_dev.ports import free_port

from stage.fleet import FACT_SECONDS_MAX, POD_SECONDS_MAX, FleetFailed
from stage.kube_calls import Kube, PodSightings, RawObject, each, settled
from stage.program import Program
from stage.storms import Storm

CONTROLLER: Final = "agent-sandbox-controller"
CRD_FILE: Final = "k8s/crds/agents.x-k8s.io_sandboxes.yaml"
CRD: Final = "sandboxes.agents.x-k8s.io"


async def install_crd(env: Mapping[str, str], kube: Kube, places: Places) -> None:
    """From the module that the controller was built from; returns when it is served."""
    folder = module_files(STORM_PROGRAMS[CONTROLLER], places, Progress())
    answer(["kubectl", "apply", "--server-side", "-f", folder / CRD_FILE], environment=env)

    async def served() -> set[str]:
        return {CRD} if await kube.find("/apis/agents.x-k8s.io/v1alpha1/sandboxes") else set()

    if await settled("sandboxes are served", [CRD], served, POD_SECONDS_MAX):
        raise FleetFailed(f"the API server does not serve {CRD}")


def remove_crd(env: Mapping[str, str]) -> None:
    answer(["kubectl", "delete", "crd", CRD, "--ignore-not-found"], environment=env)


class SandboxController(Program):
    """Context manager: the controller as a process. `workers`: its own default is 1."""

    def __init__(self, env: Mapping[str, str], program: Path, workers: int) -> None:
        argv = [
            str(program),
            "--leader-elect=false",
            f"--sandbox-concurrent-workers={workers}",
            f"--metrics-bind-address=127.0.0.1:{free_port()}",
            f"--health-probe-bind-address=127.0.0.1:{free_port()}",
        ]
        super().__init__(argv, env)

    def end(self) -> None:
        had_ended = self.has_ended
        super().end()
        if had_ended:
            said = self.said[-2000:]
            raise Failure(f"{CONTROLLER} ended by itself:\n{said}", "see its log above")


@dataclass(slots=True)
class Sandboxes:
    """Sandboxes `sandbox-0` … of one namespace."""

    kube: Kube
    namespace: str
    count: int
    pod_spec: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        return [f"sandbox-{number}" for number in range(self.count)]

    @property
    def path(self) -> str:
        return f"/apis/agents.x-k8s.io/v1alpha1/namespaces/{self.namespace}/sandboxes"

    async def make(self) -> None:
        """All of them suspended, with all that they have beside a pod."""

        async def one(name: str) -> None:
            body = {
                "apiVersion": "agents.x-k8s.io/v1alpha1",
                "kind": "Sandbox",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"replicas": 0, "podTemplate": {"spec": dict(self.pod_spec)}},
            }
            await self.kube.create(self.path, body)

        await each(self.names, one)

        async def known() -> set[str]:
            return {
                body["metadata"]["name"]
                for body in await self.kube.items(self.path)
                if body.get("status", {}).get("service")
            }

        missing = await settled("sandboxes, suspended", self.names, known, FACT_SECONDS_MAX)
        if missing:
            raise FleetFailed(f"{CONTROLLER} did not look at {len(missing)} sandboxes")

    async def scale(self, name: str, replicas: int) -> None:
        await self.kube.patch(f"{self.path}/{name}", {"spec": {"replicas": replicas}})

    async def suspend(self, pods: PodSightings) -> None:
        """All of them, and wait until no pod is left."""
        await each(self.names, lambda name: self.scale(name, 0))
        if not await pods.until(lambda: not pods.present, FACT_SECONDS_MAX):
            raise FleetFailed(f"{len(pods.present)} pods of suspended sandboxes stay")

    async def storm(self, pods: PodSightings) -> Storm:
        """Resume all at once."""
        asked: dict[str, float] = {}

        async def resume(name: str) -> None:
            asked[name] = time.time()
            await self.scale(name, 1)

        pods.begin()
        await each(self.names, resume)
        await pods.until(lambda: set(self.names) <= set(pods.first), POD_SECONDS_MAX)
        return Storm(asked, dict(pods.first))


def sandbox_pod(devbox_pod: Mapping[str, Any]) -> RawObject:
    """A devbox's pod as a sandbox's template: same containers, node and volumes, but the home
    directory is no claim and nothing is said that the API server filled in."""
    spec: RawObject = json.loads(json.dumps(devbox_pod["spec"]))
    for key in ("nodeName", "serviceAccount", "priority", "preemptionPolicy", "schedulerName"):
        spec.pop(key, None)
    for volume in spec["volumes"]:
        if volume.pop("persistentVolumeClaim", None) is not None:
            volume["emptyDir"] = {}
    return spec
