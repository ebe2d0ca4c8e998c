"""Two operator processes on a real API server: one leads, and the other takes over.

They serve a namespace of their own and have a lease of their own, so they do not meet an operator
that is installed in the same cluster. Each talks to the API server through a listener, so that who
wrote what, and when, is known.
"""

import asyncio
import contextlib
import itertools
import signal
import sys
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import httpx
import pytest
from journeys import until
from ranvier_operator.cluster import KubernetesCluster
from ranvier_operator.election import LEASE_SECONDS
from ranvier_operator.kinds import BLUEPRINTS, LEASES
from stage.kube_calls import KubeProxy

START_SECONDS = 40
NAMES = ("one", "two")
PORTS = (18181, 18182)
WRITES = (b"POST", b"PUT", b"PATCH", b"DELETE")
KUBECONFIG = """\
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: nobody}}]
clusters: [{name: here, cluster: {server: "URL"}}]
users: [{name: nobody, user: {}}]
"""


class Listener:
    """Passes connections on to the API server and notes each write on them, leases left out.

    A client sends its next request when the last one was answered, so a request's line always
    begins a chunk."""

    def __init__(self, name: str, upstream: str, writes: list[tuple[str, str]]) -> None:
        self._name = name
        self._host, _, port = upstream.removeprefix("http://").partition(":")
        self._port = int(port)
        self._writes = writes
        self._serving: asyncio.Server | None = None

    async def start(self) -> str:
        """Its URL."""
        self._serving = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self._serving.sockets[0].getsockname()[1]}"

    def close(self) -> None:
        if self._serving is not None:
            self._serving.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        await asyncio.gather(
            self._pass(reader, up_writer, is_asking=True),
            self._pass(up_reader, writer, is_asking=False),
        )

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, is_asking: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if is_asking:
                    self._note(chunk)
                writer.write(chunk)
                await writer.drain()
        writer.close()

    def _note(self, chunk: bytes) -> None:
        method, _, rest = chunk.partition(b" ")
        path = rest.partition(b" ")[0].decode(errors="replace")
        if method in WRITES and "/leases" not in path:
            self._writes.append((self._name, path))


class Replica:
    """One process."""

    def __init__(
        self, name: str, port: int, namespace: str, env: Mapping[str, str], api: str, folder: Path
    ) -> None:
        self.name = name
        self.port = port
        kubeconfig = folder / f"{name}.yaml"
        kubeconfig.write_text(KUBECONFIG.replace("URL", api))
        self._env = {
            **env,
            "KUBECONFIG": str(kubeconfig),
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

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.signal(number)
        return await self.process.wait()


class Pair:
    """Both, their lease, what they wrote, and work for them."""

    def __init__(
        self, cluster: KubernetesCluster, namespace: str, replicas: Mapping[str, Replica]
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self.replicas = replicas
        self.writes: list[tuple[str, str]] = []
        self.blueprints = 0

    async def work(self) -> None:
        """A new Blueprint again and again; whoever acts writes its status."""
        while True:
            self.blueprints += 1
            metadata = {"name": f"work-{self.blueprints}", "namespace": self._namespace}
            body = {
                "apiVersion": "ranvier.dev/v1alpha1",
                "kind": "Blueprint",
                "metadata": metadata,
                "spec": {"image": "none"},
            }
            await self._cluster.create(BLUEPRINTS, body)
            await asyncio.sleep(0.2)

    async def until_written(self, name: str) -> None:
        """Until this one wrote something from now on."""
        already = len(self.writes)

        async def written() -> bool:
            return name in [writer for writer, _ in self.writes[already:]]

        await until(f"a write of {name}", written, LEASE_SECONDS)

    def turns(self) -> list[str]:
        """Who wrote, each as often as the writing passed to it."""
        return [writer for writer, _ in itertools.groupby(self.writes, key=lambda w: w[0])]

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
async def pair(env: Mapping[str, str], tmp_path: Path) -> AsyncIterator[Pair]:
    cluster = KubernetesCluster.connect(threads=2, kubeconfig=env["KUBECONFIG"])
    cluster.guard = lambda: None
    namespace = f"replicas-{uuid.uuid4().hex[:8]}"
    await cluster._write("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    replicas: dict[str, Replica] = {}
    pair = Pair(cluster, namespace, replicas)
    with KubeProxy(env) as proxy:
        listeners = {name: Listener(name, proxy.url, pair.writes) for name in NAMES}
        for name, port in zip(NAMES, PORTS, strict=True):
            url = await listeners[name].start()
            replicas[name] = Replica(name, port, namespace, env, url, tmp_path)
        try:
            yield pair
        finally:
            for replica in replicas.values():
                if replica.process is not None:
                    await replica.end(signal.SIGKILL)
            for listener in listeners.values():
                listener.close()
            await cluster._write("DELETE", f"/api/v1/namespaces/{namespace}", {})
            cluster.close()


async def test_a_clean_end_hands_over_at_once_and_a_killed_leader_is_replaced_in_time(
    pair: Pair,
) -> None:
    for replica in pair.replicas.values():
        await replica.start()
    await pair.until_holds("one", 5)
    assert await pair.replicas["one"].end(signal.SIGTERM) == 0
    assert await pair.until_holds("two", 3) < 3
    await pair.replicas["one"].start()
    await asyncio.sleep(3)
    assert await pair.holder() == "two"
    await pair.replicas["two"].end(signal.SIGKILL)
    assert await pair.until_holds("one", LEASE_SECONDS + 1) <= LEASE_SECONDS


async def test_two_that_start_together_never_both_act_also_when_the_leader_was_only_paused(
    pair: Pair,
) -> None:
    work = asyncio.ensure_future(pair.work())
    try:
        async with asyncio.TaskGroup() as group:
            for replica in pair.replicas.values():
                group.create_task(replica.start())
        first = await until("one of them leads", pair.holder, LEASE_SECONDS)
        second = next(name for name in NAMES if name != first)
        await pair.until_written(first)
        pair.replicas[first].signal(signal.SIGSTOP)
        assert await pair.until_holds(second, LEASE_SECONDS + 1) <= LEASE_SECONDS
        await pair.until_written(second)
        pair.replicas[first].signal(signal.SIGCONT)
        # Time in which the one that was paused could act, if it did not know better.
        await asyncio.sleep(5)
        await pair.until_written(second)
        await pair.replicas[second].end(signal.SIGKILL)
        assert await pair.until_holds(first, LEASE_SECONDS + 1) <= LEASE_SECONDS
        await pair.until_written(first)
    finally:
        work.cancel()
    assert pair.turns() == [first, second, first]
