"""A Kubernetes API server over HTTP, in front of the operator's fake cluster.

So a real API server process of ours (or any Kubernetes client) and a real operator meet on one
cluster without one. It serves what they use: lists, watches, get, create, merge patch, delete.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from ranvier_operator.errors import AlreadyExists, ClusterError, Conflict
from ranvier_operator.kinds import AXONS, BLUEPRINTS, DEVBOXES, Kind, RawObject
from ranvier_operator.testing import FakeCluster
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

SECRETS = Kind("Secret", "", "v1", "secrets", "ranvier.dev/secret")
NAMESPACES = ("here", "default")
SERVED = {(kind.group, kind.plural): kind for kind in (AXONS, BLUEPRINTS, DEVBOXES, SECRETS)}


class KubernetesApi:
    """`down` makes every request fail; `requests` counts them by verb and kind."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        self.requests: list[tuple[str, str]] = []
        self.down = False
        self.port = 0
        self._events: list[tuple[int, str, str, RawObject]] = []
        self._news = asyncio.Event()
        cluster.watchers.append(self._heard)
        core, named = "/api/v1", "/apis/{group}/{version}"
        routes = [
            Route(root + path, self._serve, methods=["GET", "POST", "PATCH", "DELETE"])
            for root in (core, named)
            for path in (
                "/{plural}",
                "/namespaces/{namespace}/{plural}",
                "/namespaces/{namespace}/{plural}/{name}",
                "/namespaces/{namespace}/{plural}/{name}/{part}",
            )
        ]
        self._app = Starlette(routes=routes)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["KubernetesApi"]:
        config = uvicorn.Config(
            self._app, port=self.port, log_config=None, lifespan="off", timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        with config.bind_socket() as socket:
            socket.listen()  # who connects before the server runs waits a moment
            self.port = socket.getsockname()[1]
            async with asyncio.TaskGroup() as group:
                group.create_task(server._serve([socket]))
                yield self
                self.down = True
                server.should_exit = True

    def kubeconfig(self, folder: Path) -> str:
        """A file that leads here."""
        body = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}],
            "users": [{"name": "fake", "user": {"token": "fake"}}],
        }
        path = folder / "kubeconfig"
        path.write_text(json.dumps(body))
        return str(path)

    # --- inside

    async def _serve(self, request: Request) -> Response:
        params = request.path_params
        kind = SERVED.get((params.get("group", ""), params["plural"]))
        if self.down or kind is None:
            return _status(503 if self.down else 404, "", "not served here")
        watches = request.query_params.get("watch") == "true"
        self.requests.append(("WATCH" if watches else request.method, kind.name))
        try:
            if watches:
                return self._watch(request, kind)
            return await self._answer(request, kind)
        except AlreadyExists as error:
            return _status(409, "AlreadyExists", str(error))
        except Conflict as error:
            return _status(409, "Conflict", str(error))
        except ClusterError as error:
            return _status(error.status or 500, error.reason, str(error))

    async def _answer(self, request: Request, kind: Kind) -> Response:
        params, cluster = request.path_params, self.cluster
        here, name = params.get("namespace"), params.get("name")
        body = json.loads(await request.body() or b"{}")
        if request.method == "POST":
            if here not in NAMESPACES:
                return _status(404, "NotFound", f'namespaces "{here}" not found')
            return JSONResponse(await cluster.create(kind, body), 201)
        if name is None:
            items = list(await cluster.list(kind, [here] if here else []))
            version = str(self._events[-1][0]) if self._events else "1"
            return JSONResponse({"items": items, "metadata": {"resourceVersion": version}})
        assert here is not None
        found = await cluster.get(kind, here, name)
        if found is None:
            return _status(404, "NotFound", f'{kind.plural} "{name}" not found')
        if request.method == "DELETE":
            uid = body.get("preconditions", {}).get("uid", found["metadata"]["uid"])
            if uid != found["metadata"]["uid"]:
                return _status(409, "Conflict", "the UID is another one")
            await cluster.delete(kind, here, name, uid=uid)
        if request.method == "PATCH":
            found = await self._patch(kind, here, name, body, params.get("part"))
        return JSONResponse(found)

    async def _patch(
        self, kind: Kind, here: str, name: str, body: RawObject, part: str | None
    ) -> RawObject | None:
        if part == "status":
            return await self.cluster.patch_status(kind, here, name, body["status"])
        changed = await self.cluster.patch(kind, here, name, body)
        if changed is None or "spec" not in body:
            return changed
        generation = {"metadata": {"generation": changed["metadata"]["generation"] + 1}}
        return await self.cluster.patch(kind, here, name, generation)

    def _watch(self, request: Request, kind: Kind) -> Response:
        here = request.path_params.get("namespace")
        version = int(request.query_params.get("resourceVersion") or 0)
        return StreamingResponse(self._lines(kind, here, version), media_type="application/json")

    async def _lines(self, kind: Kind, here: str | None, version: int) -> AsyncIterator[bytes]:
        while not self.down:
            news = self._news
            for number, name, event_type, body in list(self._events):
                mine = name == kind.name and here in (None, body["metadata"]["namespace"])
                if number > version and mine:
                    yield json.dumps({"type": event_type, "object": body}).encode() + b"\n"
                version = max(version, number)
            try:
                await asyncio.wait_for(news.wait(), 0.2)
            except TimeoutError:
                continue

    def _heard(self, kind: Kind, event_type: str, body: RawObject) -> None:
        number = int(body["metadata"]["resourceVersion"])
        self._events.append((number, kind.name, event_type, body))
        news, self._news = self._news, asyncio.Event()
        news.set()


def _status(code: int, reason: str, message: str) -> Response:
    body: dict[str, Any] = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return JSONResponse(body, code)
