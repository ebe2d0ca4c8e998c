"""The small Kubernetes of `ranvier dev`, for tests that play its scheduler and kubelet themselves.

So a real API server process of ours (or any Kubernetes client) and a real operator meet on one
cluster without one. Objects and API are `ranvier_dev`'s; here stands what only tests need: to see
who asked, to be away, to have few namespaces, and to do by hand what others do in a cluster.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from ranvier_dev.clock import timestamp
from ranvier_dev.kinds import Served
from ranvier_dev.kube_api import KubeApi, Refusal
from ranvier_dev.objects import Change, Objects, served_at
from ranvier_dev.supervisor import kubeconfig
from ranvier_dev.tokens import Tokens
from ranvier_operator.kinds import WATCHED, Kind, RawObject
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

SECRETS = Kind("Secret", "", "v1", "secrets")
NAMESPACES = ("here", "default")
TOKEN = "of-whoever-may-do-all"
OPERATOR = "/operator"
"""The way in of the operator: nobody counts its requests, and it is never away."""

Watcher = Callable[[Kind, str, RawObject], None]


class PlayedCluster:
    """What users, schedulers and kubelets do. Everybody in `watchers` hears at once of what the
    operator watches, `listeners` of every change."""

    def __init__(self) -> None:
        self.objects = Objects(lambda: str(uuid.uuid4()), timestamp, self._changed)
        self.watchers: list[Watcher] = []
        self.listeners: list[Callable[[Change], None]] = []

    def apply(self, kind: Kind, namespace: str, name: str, spec: RawObject) -> RawObject:
        """A user makes a resource or changes its spec."""
        place = _served(kind), namespace, name
        if (known := self.objects.get(*place)) is None:
            return self.objects.create(*place[:2], {"metadata": {"name": name}, "spec": spec})
        changed = self.objects.replace(*place, {**known, "spec": spec})
        assert changed is not None
        return changed

    def erase(self, kind: Kind, namespace: str, name: str) -> None:
        """A user deletes something, or a kubelet is done with it; its children go with it."""
        self.objects.delete(_served(kind), namespace, name, grace=0)

    def report(self, kind: Kind, namespace: str, name: str, patch: RawObject) -> None:
        """A scheduler, kubelet or waker reports: merge-patches an object's status, and spec."""
        if "status" in patch:
            self.objects.patch(_served(kind), namespace, name, patch, status=True)
        self.objects.patch(_served(kind), namespace, name, patch)

    def peek(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        return self.objects.get(_served(kind), namespace, name)

    def all(self, kind: Kind) -> list[RawObject]:
        return self.objects.select(_served(kind))

    def time_text(self, plus: float = 0) -> str:
        """The cluster's time, in some seconds from now."""
        return timestamp(plus)

    def _changed(self, change: Change) -> None:
        for listener in self.listeners:
            listener(change)
        for kind in WATCHED:
            labels = change.body["metadata"].get("labels") or {}
            if _served(kind) == change.served and (not kind.selector or kind.selector in labels):
                for watcher in self.watchers:
                    watcher(kind, change.type, change.body)


class KubernetesApi:
    """`down` makes every request fail but the operator's; `requests` counts the same ones by verb
    and kind."""

    def __init__(self) -> None:
        self.cluster = PlayedCluster()
        self.requests: list[tuple[str, str]] = []
        self.port = 0
        self._operators = KubeApi(self.cluster.objects, Tokens(), TOKEN)
        self._front = _Front(self)
        self.cluster.listeners.append(self._changed)

    @property
    def down(self) -> bool:
        return self._front.is_down

    @down.setter
    def down(self, is_down: bool) -> None:
        self._front.close()
        self._front = _Front(self, is_down)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["KubernetesApi"]:
        async def front(scope: Scope, receive: Receive, send: Send) -> None:
            await self._front.app(scope, receive, send)

        app = Starlette(routes=[Mount(OPERATOR, self._operators.app), Mount("/", front)])
        config = uvicorn.Config(
            app, port=self.port, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        with config.bind_socket() as socket:
            socket.listen()  # who connects before the server runs waits a moment
            self.port = socket.getsockname()[1]
            async with asyncio.TaskGroup() as group:
                group.create_task(server._serve([socket]))
                yield self
                self.down = True
                self._operators.close()
                server.should_exit = True

    def kubeconfig(self, folder: Path, way_in: str = "") -> str:
        """A file that leads here."""
        path = folder / f"kubeconfig{way_in.replace('/', '-')}"
        path.write_text(json.dumps(kubeconfig(f"http://127.0.0.1:{self.port}{way_in}", TOKEN)))
        return str(path)

    def _changed(self, change: Change) -> None:
        self._operators.changed(change)
        self._front.changed(change)


class _Front(KubeApi):
    """The way in that is watched and may be away."""

    def __init__(self, api: KubernetesApi, is_down: bool = False) -> None:
        super().__init__(api.cluster.objects, Tokens(), TOKEN)
        self._requests = api.requests
        self.is_down = is_down

    def guarded(self, request: Request) -> Served:
        if self.is_down:
            raise Refusal(503, "ServiceUnavailable", "not served here")
        served = super().guarded(request)
        verb = "WATCH" if "watch" in request.query_params else request.method
        self._requests.append((verb, served.kind))
        here = request.path_params.get("namespace")
        if verb == "POST" and here not in NAMESPACES:
            raise Refusal(404, "NotFound", f'namespaces "{here}" not found')
        return served


def _served(kind: Kind) -> Served:
    served = served_at(kind.group, kind.version, kind.plural)
    assert served is not None, kind
    return served
