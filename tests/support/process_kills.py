"""kill -9 of a component's processes, on the node where they run: nothing of the pod's end is told.

Kubernetes starts a killed container again, after pauses that double up to five minutes. These
pauses are not what the tests are about, so a pod that is in one is deleted and a new one comes.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from journeys import FACT_SECONDS_MAX, SYSTEM, kubectl, until
from stage.kube_calls import is_ready
from stage.shell import CommandFailed, read

PROCESSES = ("operator", "apiserver")


@dataclass
class Killer:
    """`killed` counts the processes that were ended, by component."""

    env: Mapping[str, str]
    killed: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROCESSES, 0))

    async def kill(self, component: str) -> None:
        """Every running process of a component, at once. None runs: nothing happens."""
        for pod in await self._pods(component):
            for status in pod.get("status", {}).get("containerStatuses", []):
                if "running" in status.get("state", {}):
                    container = status["containerID"].rpartition("/")[2]
                    await self._kill_container(pod["spec"]["nodeName"], container)
                    self.killed[component] += 1

    async def _kill_container(self, node: str, container: str) -> None:
        inspect = "crictl inspect --output go-template --template '{{.info.pid}}'"
        # Of a container that has ended meanwhile it says 0, which would be the shell's own group.
        found = '[ "$pid" -gt 1 ] || { echo not found >&2; exit 1; }'
        shell = f'pid=$({inspect} {container}) && {{ {found}; }} && kill -9 "$pid"'
        try:
            await asyncio.to_thread(read, ["docker", "exec", node, "sh", "-c", shell], self.env)
        except CommandFailed as failed:
            if "No such container" in str(failed) or "Cannot connect" in str(failed):
                pytest.skip(f"processes can be killed on nodes of kind only: {failed}")
            if "not found" not in str(failed) and "No such process" not in str(failed):
                raise

    async def until_back(self, component: str) -> None:
        """Wait until it is ready again."""

        async def ready() -> bool:
            pods = await self._pods(component)
            for pod in pods:
                if _is_waiting(pod):
                    await self._delete(pod["metadata"]["name"])
            return bool(pods) and all(map(is_ready, pods))

        await until(f"{component} is back", ready, FACT_SECONDS_MAX)

    async def _delete(self, pod: str) -> None:
        words = ("delete", "pod", pod, "--force", "--grace-period=0", "--ignore-not-found")
        await kubectl(self.env, "-n", SYSTEM, *words)

    async def _pods(self, component: str) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/component={component}"
        words = ("get", "pods", "-l", selector, "-o", "json")
        found: list[dict[str, Any]] = json.loads(await kubectl(self.env, "-n", SYSTEM, *words))[
            "items"
        ]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _is_waiting(pod: Mapping[str, Any]) -> bool:
    statuses = pod.get("status", {}).get("containerStatuses", [])
    waiting = [status.get("state", {}).get("waiting", {}).get("reason") for status in statuses]
    return "CrashLoopBackOff" in waiting
