"""Routes of Runloop's devbox API that this version does not have. They say so for good: published
clients would repeat a plain 501 five times, and take a 404 for a devbox that is gone."""

from fastapi import APIRouter, Request

from ranvier_apiserver.errors import NotServed
from ranvier_apiserver.routes.context import Caller

router = APIRouter(prefix="/v1/devboxes", include_in_schema=False)
"""Stands behind all others, for it takes every path that they left."""


@router.get("/disk_snapshots")
@router.get("/evictions/watch")
@router.api_route("/{devbox_id}/{rest:path}", methods=["GET", "POST", "DELETE"])
async def unserved(request: Request, caller: Caller) -> None:
    raise NotServed(
        f"{request.method} {request.url.path} is part of Runloop's API and not of this version."
    )
