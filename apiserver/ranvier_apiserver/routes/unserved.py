"""Routes of Runloop's devbox API that this version does not have. They say so for good: published
clients would repeat a plain 501 five times, and take a 404 for a devbox that is gone."""

from typing import Final

from fastapi import APIRouter, Request

from ranvier_apiserver.errors import NotServed
from ranvier_apiserver.routes.context import Caller

PREFIX: Final = "/v1/devboxes"
collections = APIRouter(prefix=PREFIX, include_in_schema=False)
"""Stands before the routes of devboxes: none of these is a devbox's id."""
router = APIRouter(prefix=PREFIX, include_in_schema=False)
"""Stands behind all others, so what comes to be served is answered by whoever serves it."""

CALLS: Final = (
    "logs/tail",
    "usage",
    "snapshot_disk",
    "snapshot_disk_async",
    "enable_tunnel",
    "remove_tunnel",
    "create_ssh_key",
    "create_pty_tunnel",
    "create_gateway_token",
    "create_mcp_token",
)
"""Below a devbox."""


@collections.get("/disk_snapshots")
@collections.api_route("/disk_snapshots/{rest:path}", methods=["GET", "POST"])
@collections.get("/evictions/watch")
async def unserved(request: Request, caller: Caller) -> None:
    raise NotServed(
        f"{request.method} {request.url.path} is part of Runloop's API and not of this version."
    )


for call in CALLS:
    router.add_api_route(f"/{{devbox_id}}/{call}", unserved, methods=["GET", "POST"])
