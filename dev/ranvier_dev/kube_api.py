"""The Kubernetes API of this machine: HTTP over `objects`, for the two clients that use it.

Lists, watches, merge patches, deletion and TokenReview; JSON only. It listens on loopback and asks
for a token, for whoever may write a pod may run a program.
"""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ranvier_dev.kinds import SERVED, Invalid, RawObject, Served
from ranvier_dev.objects import Change, Conflict, Objects, Taken, TooOld, served_at
from ranvier_dev.tokens import Tokens

BOOKMARK_SECONDS: Final = 30.0
WATCH_SECONDS_MAX: Final = 3600.0
VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]


class KubeApi:
    """`changed` is to be called after every change; parked watches wake by it."""

    def __init__(self, objects: Objects, tokens: Tokens, admin_token: str) -> None:
        self._objects = objects
        self._tokens = tokens
        self._admin = f"Bearer {admin_token}"
        self._news = asyncio.Event()
        self._is_closed = False
        objects_of = [
            Route("/api/{version}/{plural}", self._collection),
            Route("/api/{version}/namespaces/{namespace}/{plural}", self._collection, methods=_ALL),
            Route("/api/{version}/namespaces/{namespace}/{plural}/{name}", self._one, methods=_ALL),
            Route(
                "/api/{version}/namespaces/{namespace}/{plural}/{name}/status",
                self._status,
                methods=_ALL,
            ),
        ]
        of_groups = [
            Route(
                route.path.replace("/api/", "/apis/{group}/", 1),
                route.endpoint,
                methods=list(route.methods or ()),
            )
            for route in objects_of
        ]
        self.app = Starlette(
            routes=[
                Route("/version", _version),
                Route("/api", _legacy),
                Route("/api/v1", _resources),
                Route("/apis", _groups),
                Route(
                    "/apis/authentication.k8s.io/v1/tokenreviews", self._review, methods=["POST"]
                ),
                Route("/apis/{group}/{version}", _resources),
                *objects_of,
                *of_groups,
            ]
        )

    def changed(self, _: Change) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """End the watches: the server stops."""
        self._is_closed = True
        self._news.set()

    def guarded(self, request: Request) -> Served:
        """The kind at this path, for who has the token. Raises Refusal otherwise."""
        if not hmac.compare_digest(request.headers.get("authorization", ""), self._admin):
            raise Refusal(401, "Unauthorized", "the token is missing or wrong")
        path = request.path_params
        served = served_at(path.get("group", ""), path["version"], path["plural"])
        if served is None:
            raise Refusal(404, "NotFound", f"{path['plural']} are not served")
        return served

    # --- collections

    async def _collection(self, request: Request) -> Response:
        async def answer() -> Response:
            served = self.guarded(request)
            namespace = request.path_params.get("namespace")
            if request.method == "POST":
                body = await request.json()
                where = namespace or body.get("metadata", {}).get("namespace", "default")
                return JSONResponse(self._objects.create(served, where, body), 201)
            query = request.query_params
            label = query.get("labelSelector", "")
            if query.get("watch") in ("1", "true"):
                return self._watch(served, namespace, label, query)
            return JSONResponse(
                {
                    "apiVersion": served.api_version,
                    "kind": f"{served.kind}List",
                    "metadata": {"resourceVersion": str(self._objects.version)},
                    "items": self._objects.select(served, namespace, label),
                }
            )

        return await _answered(answer)

    def _watch(
        self, served: Served, namespace: str | None, label: str, query: Any
    ) -> StreamingResponse:
        seconds = min(float(query.get("timeoutSeconds") or WATCH_SECONDS_MAX), WATCH_SECONDS_MAX)
        begin = int(query.get("resourceVersion") or 0)
        first: list[RawObject] = []
        if not begin:
            first, begin = self._objects.select(served, namespace, label), self._objects.version
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds

        async def lines() -> AsyncIterator[bytes]:
            for body in first:
                yield _line("ADDED", body)
            version = begin
            while not self._is_closed and (left := deadline - clock()) > 0:
                news = self._news
                try:
                    changes = self._objects.since(version, served, namespace, label)
                except TooOld as error:
                    yield _line("ERROR", _status_of(410, "Expired", str(error)))
                    return
                # Taken before anything is sent: while it is, the next changes happen.
                version = self._objects.version
                for change in changes:
                    yield _line(change.type, change.body)
                if not await _happens(news, min(left, BOOKMARK_SECONDS)):
                    yield _line("BOOKMARK", _bookmark(served, version))

        return StreamingResponse(lines(), media_type="application/json")

    # --- one object

    async def _one(self, request: Request) -> Response:
        async def answer() -> Response:
            served, path = self.guarded(request), request.path_params
            place = served, path["namespace"], path["name"]
            body = await request.json() if await request.body() else {}
            match request.method:
                case "PUT":
                    found = self._objects.replace(*place, body)
                case "PATCH":
                    found = self._objects.patch(*place, body)
                case "DELETE":
                    uid = (body.get("preconditions") or {}).get("uid", "")
                    grace = body.get("gracePeriodSeconds")
                    found = self._objects.delete(*place, uid=uid, grace=grace)
                case _:
                    found = self._objects.get(*place)
            return _found(served, path["name"], found)

        return await _answered(answer)

    async def _status(self, request: Request) -> Response:
        async def answer() -> Response:
            served, path = self.guarded(request), request.path_params
            place = served, path["namespace"], path["name"]
            if request.method == "GET":
                return _found(served, path["name"], self._objects.get(*place))
            patch = await request.json()
            return _found(served, path["name"], self._objects.patch(*place, patch, status=True))

        return await _answered(answer)

    async def _review(self, request: Request) -> Response:
        return JSONResponse(self._tokens.review(await request.json()), 201)


_ALL: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]


class Refusal(Exception):
    """Ends a request with this status; `reason` is Kubernetes' word for it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status, self.reason = status, reason


async def _answered(answer: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await answer()
    except Refusal as error:
        status, reason, message = error.status, error.reason, str(error)
    except Taken as error:
        status, reason, message = 409, "AlreadyExists", str(error)
    except Conflict as error:
        status, reason, message = 409, "Conflict", str(error)
    except Invalid as error:
        status, reason, message = 422, "Invalid", str(error)
    except json.JSONDecodeError as error:
        status, reason, message = 400, "BadRequest", f"the body is no JSON: {error}"
    return JSONResponse(_status_of(status, reason, message), status)


def _found(served: Served, name: str, body: RawObject | None) -> Response:
    if body is None:
        raise Refusal(404, "NotFound", f'{served.plural} "{name}" not found')
    return JSONResponse(body)


def _status_of(code: int, reason: str, message: str) -> RawObject:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


def _line(change_type: str, body: RawObject) -> bytes:
    return json.dumps({"type": change_type, "object": body}).encode() + b"\n"


def _bookmark(served: Served, version: int) -> RawObject:
    metadata = {"resourceVersion": str(version)}
    return {"apiVersion": served.api_version, "kind": served.kind, "metadata": metadata}


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            return await event.wait()
    except TimeoutError:
        return False


# --- discovery: Kopf asks once what is served


async def _version(_: Request) -> Response:
    return JSONResponse({"major": "1", "minor": "36", "gitVersion": "v1.36.0-ranvier-dev"})


async def _legacy(_: Request) -> Response:
    return JSONResponse({"kind": "APIVersions", "versions": ["v1"]})


async def _groups(_: Request) -> Response:
    found = []
    for group, version in sorted({(s.group, s.version) for s in SERVED if s.group}):
        at = {"groupVersion": f"{group}/{version}", "version": version}
        found.append({"name": group, "versions": [at], "preferredVersion": at})
    return JSONResponse({"apiVersion": "v1", "kind": "APIGroupList", "groups": found})


async def _resources(request: Request) -> Response:
    group = request.path_params.get("group", "")
    version = request.path_params.get("version", "v1")
    resources = []
    for served in SERVED:
        if (served.group, served.version) != (group, version):
            continue
        named = {"name": served.plural, "singularName": served.kind.lower(), "kind": served.kind}
        resources.append({**named, "namespaced": True, "verbs": VERBS})
        if served.has_status:
            status = {**named, "name": f"{served.plural}/status", "singularName": ""}
            resources.append({**status, "namespaced": True, "verbs": ["get", "patch", "update"]})
    at = f"{group}/{version}" if group else version
    listing = {"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": at}
    return JSONResponse({**listing, "resources": resources})
