"""Two operator processes on a real API server: one leads, and the other takes over.

They serve an empty namespace and have a lease of their own, so they do not meet an operator that is
installed in the same cluster.
"""

import asyncio
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
from ranvier_operator.cluster import KubernetesCluster
from ranvier_operator.election import LEASE_SECONDS
from ranvier_operator.kinds import LEASES

START_SECONDS = 40
PORTS = (18181, 18182)


class Replica:
    """One process."""

    def __init__(self, name: str, port: int, namespace: str, env: Mapping[str, str]) -> None:
        self.name = name
        self.port = port
        self._env = {
            **env,
            "RANVIER_NAMESPACE": namespace,
            "RANVIER_WATCH_NAMESPACES": namespace,
            "RANVIER_IDENTITY": name,
            "RANVIER_PROBE_PORT": str(port),
            "RANVIER_API_URL": "http://127.0.0.1:9",
        }
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Until it watches."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "ranvier_operator", env=self._env
        )
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient(trust_env=False) as http:
            for _ in range(START_SECONDS * 10):
                await asyncio.sleep(0.1)
                try:
                    answer = await http.get(f"http://127.0.0.1:{self.port}/readyz")
                except httpx.TransportError:
                    continue
                if answer.is_success:
                    assert (await http.get(f"http://127.0.0.1:{self.port}/healthz")).is_success
                    return

    async def end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()


class Pair:
    """Both, and their lease."""

    def __init__(self, cluster: KubernetesCluster, namespace: str, env: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.replicas = {
            name: Replica(name, port, namespace, env)
            for name, port in zip(("one", "two"), PORTS, strict=True)
        }

    async def holder(self) -> str:
        lease = await self._cluster.get(LEASES, self._namespace, "ranvier-operator")
        return str((lease or {}).get("spec", {}).get("holderIdentity") or "")

    async def until_holds(self, name: str, seconds: float) -> float:
        """How long it took until this one leads."""
        begun = time.monotonic()
        while await self.holder() != name:
            took = time.monotonic() - begun
            assert took < seconds, f"{name} does not lead after {took:.1f} s"
            await asyncio.sleep(0.1)
        return time.monotonic() - begun


@pytest.fixture
async def pair(env: Mapping[str, str]) -> AsyncIterator[Pair]:
    cluster = KubernetesCluster.connect(threads=2, kubeconfig=env["KUBECONFIG"])
    cluster.guard = lambda: None
    namespace = f"replicas-{uuid.uuid4().hex[:8]}"
    await cluster._write("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    pair = Pair(cluster, namespace, env)
    try:
        for replica in pair.replicas.values():
            await replica.start()
        yield pair
    finally:
        for replica in pair.replicas.values():
            if replica.process is not None:
                await replica.end(signal.SIGKILL)
        await cluster._write("DELETE", f"/api/v1/namespaces/{namespace}", {})
        cluster.close()


async def test_a_clean_end_hands_over_at_once_and_a_killed_leader_is_replaced_in_time(
    pair: Pair,
) -> None:
    await pair.until_holds("one", 5)
    assert await pair.replicas["one"].end(signal.SIGTERM) == 0
    assert await pair.until_holds("two", 3) < 3
    await pair.replicas["one"].start()
    await asyncio.sleep(3)
    assert await pair.holder() == "two"
    await pair.replicas["two"].end(signal.SIGKILL)
    assert await pair.until_holds("one", LEASE_SECONDS + 1) <= LEASE_SECONDS
