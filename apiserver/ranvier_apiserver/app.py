"""The ASGI application: routes and error answers. Wiring only.

The hot routes pass by the framework altogether: its middleware and request machinery were
measured to take more than half of the time of a publish.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ranvier_apiserver import openapi, problems
from ranvier_apiserver.errors import InvalidField, RanvierError
from ranvier_apiserver.hot_path import HotPath, Reply
from ranvier_apiserver.problems import Problem
from ranvier_apiserver.routes import (
    axons,
    blueprints,
    devboxes,
    events,
    executions,
    files,
    health,
    internal,
    lines,
    logs,
    secrets,
    sql,
    transfer,
    unserved,
)
from ranvier_apiserver.routes.append import Append
from ranvier_apiserver.routes.context import Context
from ranvier_apiserver.routes.described import operation_of
from ranvier_apiserver.routes.publish import Publish
from ranvier_apiserver.routes.subscribe import Subscribe

AXONS: Final = "/v1/axons/"
MOUNTS: Final = "/internal/v1/devboxes/"
Route = tuple[str, str]
"""Method, and path as written."""

HOT: Final[Mapping[Route, type[Publish | Subscribe | Append]]] = {
    ("POST", AXONS + "{axon_id}/publish"): Publish,
    ("GET", AXONS + "{axon_id}/subscribe/sse"): Subscribe,
    ("POST", MOUNTS + "{uid}/mounts/{index}/append"): Append,
}

ROUTERS: Final = (
    unserved.collections,
    axons.router,
    blueprints.router,
    devboxes.router,
    events.router,
    executions.router,
    logs.router,
    files.router,
    health.router,
    internal.router,
    lines.router,
    secrets.router,
    sql.router,
    transfer.router,
    unserved.router,
)

log = logging.getLogger(__name__)


class Front:
    """Takes the hot routes itself and leaves the rest to the framework."""

    def __init__(self, context: Context, rest: ASGIApp) -> None:
        self._rest = rest
        endpoints = {route: endpoint(context) for route, endpoint in HOT.items()}
        self._hot: Mapping[Route, ASGIApp] = endpoints
        # Asked once: to ask an object for its Protocol takes longer than the rest of the way here.
        self._take = {
            route: endpoint.take
            for route, endpoint in endpoints.items()
            if isinstance(endpoint, HotPath)
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = _hot_route(scope)
        endpoint = self._rest if route is None else self._hot[route]
        await endpoint(scope, receive, send)

    def take(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Implements `HotPath`, for the hot routes that do."""
        route = _hot_route(scope)
        take = None if route is None else self._take.get(route)
        return take is not None and take(scope, body, reply)


def _hot_route(scope: Scope) -> Route | None:
    """The hot route of a request, if it is one's; its parameters are in the scope then."""
    path: str = scope["path"]
    if path.startswith(AXONS):
        axon_id, _, tail = path[len(AXONS) :].partition("/")
        template, params = f"{AXONS}{{axon_id}}/{tail}", {"axon_id": axon_id}
    elif path.startswith(MOUNTS):
        uid, _, rest = path[len(MOUNTS) :].partition("/mounts/")
        index, _, tail = rest.partition("/")
        template, params = f"{MOUNTS}{{uid}}/mounts/{{index}}/{tail}", {"uid": uid, "index": index}
    else:
        return None
    route = scope["method"], template
    if route not in HOT:
        return None
    scope["path_params"] = params
    scope["route_template"] = template
    return route


def create_app(context: Context) -> ASGIApp:
    app = FastAPI(
        title="Ranvier", openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.context = context
    for router in ROUTERS:
        app.include_router(router)
    app.add_exception_handler(RanvierError, _domain_error)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _unexpected)
    described = json.dumps(describe())

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi_json() -> Response:
        return Response(described, media_type="application/json")

    return Front(context, app)


def describe() -> dict[str, Any]:
    """The OpenAPI document of every route but its own."""
    routes = [route for router in ROUTERS for route in router.routes]
    return openapi.document([*openapi.from_routes(routes), *_hot_routes()])


def _hot_routes() -> Iterator[openapi.Described]:
    for (method, path), endpoint in HOT.items():
        names = re.findall(r"{(\w+)}", path)
        yield openapi.Described(
            method,
            path,
            endpoint.__name__.lower(),
            endpoint.__doc__ or "",
            operation_of(endpoint),
            {name: "integer" if name == "index" else "string" for name in names},
        )


async def _domain_error(_: Request, error: Exception) -> Response:
    return problems.answer(error)


async def _invalid(_: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    where = ".".join(str(part) for part in first.get("loc", ()))
    return problems.answer(InvalidField(f"{where}: {first.get('msg', 'not valid')}."))


async def _http_error(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    what = f"{request.method} {request.url.path}"
    if status == 404:
        return problems.respond(Problem(404, "not_found"), f"There is no route {what}.")
    if status == 405:
        return problems.respond(Problem(405, "method_not_allowed"), f"{what} is not allowed.")
    return problems.respond(Problem(status, "http_error"), f"{what} failed.")


async def _unexpected(request: Request, error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return problems.answer(error)
