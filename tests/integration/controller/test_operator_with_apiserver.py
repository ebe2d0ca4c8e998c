"""The operator and a real API server process: the two speak the same internal API.

The cluster is the fake one, so a test can be the kubelet; the journal, its HTTP and its rules are
real.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ranvier_operator.clock import SystemClock
from ranvier_operator.controller import Controller
from ranvier_operator.journal import HttpJournal
from ranvier_operator.kinds import AXONS, CLAIMS, DEVBOXES, PODS
from ranvier_operator.naming import GENERATION_ANNOTATION
from ranvier_operator.settings import Settings
from ranvier_operator.testing import FakeCluster
from ranvier_operator.testing.world import HERE, NAME, SPEC

BOUND = 20.0
KEY = "key-of-a-person-0123456789"
OPERATOR, BROKER = "token-of-the-operator", "token-of-a-broker"
IDLE_SECONDS = 1


class ApiServer:
    """A process that can be killed and started again over the same journal."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None
        (folder / "keys").write_text(KEY)
        (folder / "token").write_text(OPERATOR)
        self.admit("nobody")

    def admit(self, devbox_uid: str) -> None:
        """Let the broker of this devbox in."""
        broker = {"role": "broker", "devbox_uid": devbox_uid}
        identities = {OPERATOR: {"role": "operator"}, BROKER: broker}
        (self.folder / "new").write_text(json.dumps(identities))
        (self.folder / "new").rename(self.folder / "identities.json")

    def start(self) -> None:
        command = [sys.executable, "-m", "ranvier_apiserver", "--identities", "static"]
        command += ["--data", "data", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--api-keys-file", "keys", "--static-identities-file", "identities.json"]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, cwd=self.folder)
        assert self.process.stderr is not None
        for line in self.process.stderr:
            record = json.loads(line)
            if record["message"] == "listening":
                self.port = record["port"]
                return
        pytest.fail("the API server did not start")

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stderr is not None
            self.process.stderr.close()
            self.process = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class Plant:
    """Fake cluster, real journal, one devbox."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.clock = SystemClock()
        self.cluster = FakeCluster(self.clock)
        self.http = httpx.AsyncClient(base_url=server.url, timeout=5, trust_env=False)

    async def apply(self, **changes: Any) -> None:
        """Axon and devbox; returns when the pod was made."""
        lifecycle = {"afterIdle": {"idleTimeSeconds": IDLE_SECONDS, "onIdle": "Suspend"}}
        self.cluster.apply(AXONS, HERE, NAME, {})
        spec = {**SPEC, "lifecycle": lifecycle, **changes}
        self.server.admit(self.cluster.apply(DEVBOXES, HERE, NAME, spec)["metadata"]["uid"])
        await until(lambda: self.generation)

    async def run(self) -> None:
        """The kubelet starts the pod, its broker attaches."""
        self.cluster.report(CLAIMS, HERE, f"{NAME}-home", {"status": {"phase": "Bound"}})
        ready = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")]
        status = {"phase": "Running", "conditions": ready, "startTime": self.cluster.time_text()}
        self.cluster.report(PODS, HERE, NAME, {"spec": {"nodeName": "n"}, "status": status})
        answer = await self.broker("attach", {"generation": self.generation})
        self.epoch = answer["epoch"]

    async def reads_up_to(self, cursor: int) -> None:
        await self.broker("append", {"epoch": self.epoch, "batch": 1, "cursor": cursor})

    async def broker(self, call: str, body: dict[str, Any]) -> dict[str, Any]:
        path = f"/internal/v1/devboxes/{self.uid}/mounts/0/{call}"
        response = await self.http.post(
            path, json=body, headers={"authorization": f"Bearer {BROKER}"}
        )
        assert response.is_success, response.text
        answer: dict[str, Any] = response.json()
        return answer

    async def publish(self) -> int:
        body = {
            "source": "test",
            "event_type": "user.message",
            "origin": "USER_EVENT",
            "payload": "{}",
        }
        path = f"/v1/axons/{self.axon_id}/publish"
        response = await self.http.post(path, json=body, headers={"authorization": f"Bearer {KEY}"})
        assert response.is_success, response.text
        return int(response.json()["sequence"])

    def end_pod(self) -> None:
        self.cluster.erase(PODS, HERE, NAME)

    @property
    def uid(self) -> str:
        return str(self.raw(DEVBOXES)["metadata"]["uid"])

    @property
    def axon_id(self) -> str:
        return str(self.raw(AXONS)["status"]["axonId"])

    @property
    def generation(self) -> int:
        """Of the pod; 0 without one."""
        pod = self.raw(PODS)
        return int(pod["metadata"]["annotations"][GENERATION_ANNOTATION]) if pod else 0

    @property
    def ends(self) -> bool:
        return "deletionTimestamp" in self.raw(PODS).get("metadata", {})

    def says(self, kind: str) -> str:
        conditions = self.raw(DEVBOXES).get("status", {}).get("conditions", [])
        return next((item["reason"] for item in conditions if item["type"] == kind), "")

    def raw(self, kind: Any) -> dict[str, Any]:
        return self.cluster.peek(kind, HERE, NAME) or {}


async def until(holds: Callable[[], object]) -> None:
    for _ in range(int(BOUND * 100)):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within the bound")


@pytest.fixture
async def plant(tmp_path: Path) -> AsyncIterator[Plant]:
    server = ApiServer(tmp_path)
    await asyncio.to_thread(server.start)
    plant = Plant(server)
    try:
        async with operator(plant):
            yield plant
    finally:
        await plant.http.aclose()
        server.kill()


@asynccontextmanager
async def operator(plant: Plant) -> AsyncIterator[Controller]:
    journal = HttpJournal(
        api_url=plant.server.url,
        token_file=str(plant.server.folder / "token"),
        clock=plant.clock,
    )
    controller = Controller(plant.cluster, journal, Settings(workers=4), plant.clock)
    plant.cluster.watchers.append(controller.observe)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(controller.run(stop))
        yield controller
        stop.set()
    await journal.close()


async def test_a_devbox_runs_sleeps_and_wakes(plant: Plant) -> None:
    """The whole way; the poke is lost (nobody pokes here), so the resync wakes it (W2)."""
    await plant.apply()
    await plant.run()
    await until(lambda: plant.says("Ready") == "AgentReady")
    begun = plant.clock.monotonic()
    await until(lambda: plant.ends)
    assert IDLE_SECONDS - 0.5 <= plant.clock.monotonic() - begun <= IDLE_SECONDS + 2, "W9"
    plant.end_pod()
    await until(lambda: plant.says("Suspended") == "Idle")
    await plant.publish()
    async with asyncio.timeout(5):
        await until(lambda: plant.generation == 2)
    await plant.run()
    await until(lambda: plant.says("Ready") == "AgentReady")


async def test_an_unread_event_keeps_it_awake(plant: Plant) -> None:
    await plant.apply()
    await plant.run()
    sequence = await plant.publish()
    await asyncio.sleep(IDLE_SECONDS * 2.5)
    assert not plant.ends
    await plant.reads_up_to(sequence)
    await until(lambda: plant.ends)


async def test_the_owners_switch_holds_and_lets_go(plant: Plant) -> None:
    await plant.apply(lifecycle={})
    await plant.run()
    plant.cluster.apply(DEVBOXES, HERE, NAME, {**SPEC, "operatingMode": "Suspended"})
    await until(lambda: plant.ends)
    plant.end_pod()
    await until(lambda: plant.says("Suspended") == "OwnerRequested")
    await plant.publish()
    await asyncio.sleep(5)
    assert plant.generation == 0
    plant.cluster.apply(DEVBOXES, HERE, NAME, SPEC)
    await until(lambda: plant.generation == 2)


async def test_a_killed_api_server_costs_no_pod_and_no_wake(plant: Plant) -> None:
    await plant.apply()
    await plant.run()
    await plant.publish()
    await asyncio.to_thread(plant.server.kill)
    await asyncio.sleep(3)
    assert plant.generation == 1
    assert not plant.ends
    await asyncio.to_thread(plant.server.start)
    await plant.reads_up_to(1)
    await until(lambda: plant.ends)


async def test_a_deleted_devbox_leaves_no_binding(plant: Plant) -> None:
    await plant.apply()
    plant.cluster.erase(DEVBOXES, HERE, NAME)
    headers = {"authorization": f"Bearer {OPERATOR}"}

    async def bindings() -> list[Any]:
        response = await plant.http.get("/internal/v1/devboxes", headers=headers)
        found: list[Any] = response.json()["devboxes"]
        return found

    for _ in range(500):
        if not await bindings():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the binding stayed")


async def test_an_axon_that_was_deleted_in_the_journal_is_reported(plant: Plant) -> None:
    mount = {"brokerMount": {"axonId": "axn_nobody", "protocol": "acp", "agentBinary": "x"}}
    plant.cluster.apply(DEVBOXES, HERE, NAME, {**SPEC, "mounts": [mount]})
    await until(lambda: plant.says("Accepted") == "AxonNotFound")
    assert plant.generation == 0
