"""All that devboxes are made of, for tests: a real API server, a real operator, and the small
Kubernetes of `ranvier dev`.

What a scheduler, a kubelet and a broker do is played (`playing_kubelet`), so a devbox's whole life
takes a second here.
"""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from api_process import KEY, OPERATOR, ApiServer
from kubernetes_api import OPERATOR as OPERATORS_WAY
from kubernetes_api import KubernetesApi
from playing_kubelet import PlayingKubelet
from ranvier_operator.clock import SystemClock
from ranvier_operator.cluster import KubernetesCluster
from ranvier_operator.controller import Controller
from ranvier_operator.journal import HttpJournal
from ranvier_operator.kinds import BLUEPRINTS, DEVBOXES, PODS
from ranvier_operator.settings import Settings
from runloop_api_client import AsyncRunloopSDK
from runloop_api_client.types import DevboxView

HERE = "here"
BOUND = 20.0
LOOK_SECONDS = 0.02
BOXES_ONLY = "key-of-devboxes-only-0123456789"
OPENCODE = {"protocol": "acp", "agent_binary": "opencode", "launch_args": ["acp"]}


class Plant:
    """Everything, and what a test asks of it."""

    def __init__(self, server: ApiServer, api: KubernetesApi, kubelet: PlayingKubelet) -> None:
        self.server = server
        self.api = api
        self.cluster = api.cluster
        self.kubelet = kubelet
        self.runloop = AsyncRunloopSDK(bearer_token=KEY, base_url=server.url)

    async def devbox(self, **fields: Any) -> DevboxView:
        """Made and running, as the SDK's users make them."""
        fields.setdefault("blueprint_name", "axon-agents")
        made = await self.runloop.devbox.create(**fields)
        return await made.get_info()

    async def status(self, devbox: DevboxView) -> str:
        return (await self.runloop.api.devboxes.retrieve(devbox.id)).status

    async def reaches(self, devbox: DevboxView, *statuses: str) -> DevboxView:
        async def seen() -> DevboxView | None:
            found = await self.runloop.api.devboxes.retrieve(devbox.id)
            return found if found.status in statuses else None

        reached: DevboxView = await until(seen)
        return reached

    def resource(self, devbox: DevboxView) -> dict[str, Any]:
        """The Devbox behind it, as kubectl shows it."""
        assert devbox.model_extra is not None
        place = devbox.model_extra["ranvier"]
        found = self.cluster.peek(DEVBOXES, place["namespace"], place["name"])
        assert found is not None
        return found

    def name(self, devbox: DevboxView) -> str:
        return str(self.resource(devbox)["metadata"]["name"])

    def pod(self, devbox: DevboxView) -> dict[str, Any] | None:
        return self.cluster.peek(PODS, HERE, self.name(devbox))

    async def clear(self) -> None:
        """As it was in the beginning: everybody works, and there is no devbox."""
        self.kubelet.refuse = self.api.down = False
        for body in self.cluster.all(DEVBOXES):
            self.cluster.erase(DEVBOXES, body["metadata"]["namespace"], body["metadata"]["name"])

        async def is_empty() -> bool:
            return await self.runloop.devbox.list() == []

        await until(is_empty)


async def until(fact: Callable[[], Any]) -> Any:
    """What the fact is, as soon as it is anything."""
    for _ in range(int(BOUND / LOOK_SECONDS)):
        found = fact()
        found = await found if inspect.isawaitable(found) else found
        if found:
            return found
        await asyncio.sleep(LOOK_SECONDS)
    raise AssertionError("not within the bound")


@asynccontextmanager
async def building(folder: Path) -> AsyncIterator[Plant]:
    """One for many tests: a process takes its time to start."""
    api = KubernetesApi()
    async with api.serving():
        server = ApiServer(folder)
        server.environment["KUBECONFIG"] = api.kubeconfig(folder)
        keys = folder / "keys"
        keys.write_text(keys.read_text() + f"{BOXES_ONLY} devboxes:read,devboxes:write\n")
        server.flags = ("--devboxes", "kubernetes", "--devbox-namespace", HERE)
        await asyncio.to_thread(server.start)
        try:
            async with server.client() as broker, _operator(server, api):
                kubelet = PlayingKubelet(
                    api.cluster, broker, lambda token, uid: server.admit(**{token: uid})
                )
                api.cluster.apply(BLUEPRINTS, HERE, "axon-agents", {"image": "agents:1"})
                async with asyncio.TaskGroup() as group:
                    playing = group.create_task(kubelet.run())
                    plant = Plant(server, api, kubelet)
                    await _until_ready(plant)
                    yield plant
                    await plant.runloop.aclose()
                    playing.cancel()
        finally:
            server.close()


async def _until_ready(plant: Plant) -> None:
    """The API server has listed the cluster once."""
    async with plant.server.client() as client:

        async def listed() -> object:
            return (await client.get("/v1/blueprints")).json().get("blueprints")

        await until(listed)


@asynccontextmanager
async def _operator(server: ApiServer, api: KubernetesApi) -> AsyncIterator[None]:
    token = server.folder / "operator-token"
    token.write_text(OPERATOR)
    clock = SystemClock()
    journal = HttpJournal(api_url=server.url, token_file=str(token), clock=clock)
    settings = Settings(workers=4)
    kubeconfig = api.kubeconfig(server.folder, OPERATORS_WAY)
    cluster = KubernetesCluster.connect(threads=settings.workers, kubeconfig=kubeconfig)
    controller = Controller(cluster, journal, settings, clock)
    cluster.guard = controller.election.require
    api.cluster.watchers.append(controller.observe)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(controller.run(stop))
        yield
        stop.set()
    await journal.close()
    cluster.close()
