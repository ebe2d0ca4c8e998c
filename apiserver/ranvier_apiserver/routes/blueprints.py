"""Runloop's blueprint API over Blueprint resources; nothing is built here."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from ranvier_apiserver import auth
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.routes import devbox_wire as wire
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Caller, TheFleet, body_of, once_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.devboxes import ask
from ranvier_apiserver.routes.wire import Nothing
from ranvier_apiserver.runloop import blueprints
from ranvier_apiserver.runloop.params import CreateBlueprint

router = APIRouter(prefix="/v1/blueprints")

Row = dict[str, Any]
CreateBody = Annotated[CreateBlueprint, Depends(body_of(CreateBlueprint))]


@router.post("")
@described(Operation([wire.BlueprintView]))
async def create(request: Request, caller: Caller, fleet: TheFleet, body: CreateBody) -> Row:
    """Make a blueprint of an image that exists"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.blueprints.create(body, once_of(request.scope, key))


@router.post("/preview")
@described(Operation([wire.BlueprintPreviewView]))
async def preview(caller: Caller, body: CreateBody) -> Row:
    """Check what a blueprint would be, without making it"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return {"dockerfile": f"FROM {blueprints.image_of(body.dockerfile)}"}


@router.get("")
@described(Operation([wire.BlueprintListView], parameters=queries.BLUEPRINTS))
async def page(request: Request, caller: Caller, fleet: TheFleet) -> Row:
    """List blueprints, newest first"""
    auth.require(caller, Scope.DEVBOXES_READ)
    params = request.query_params
    name, status = params.get("name") or None, params.get("status") or None
    return fleet.blueprints.page(ask(request), name, status)


@router.get("/list_public")
@described(Operation([wire.BlueprintListView]))
async def public(caller: Caller) -> Row:
    """There are no public blueprints: an installation has one owner"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return {"blueprints": [], "has_more": False, "total_count": 0}


@router.get("/{blueprint_id}")
@described(Operation([wire.BlueprintView]))
async def retrieve(blueprint_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Retrieve a blueprint"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return fleet.blueprints.retrieve(blueprint_id)


@router.get("/{blueprint_id}/logs")
@described(Operation([wire.BlueprintLogsView]))
async def logs(blueprint_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """The build log of a blueprint: empty, for nothing is built"""
    auth.require(caller, Scope.DEVBOXES_READ)
    fleet.blueprints.retrieve(blueprint_id)
    return {"blueprint_id": blueprint_id, "logs": []}


@router.post("/{blueprint_id}/delete")
@described(Operation([Nothing]))
async def delete(blueprint_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Delete a blueprint; running devboxes go on"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    await fleet.blueprints.delete(blueprint_id)
    return {}
