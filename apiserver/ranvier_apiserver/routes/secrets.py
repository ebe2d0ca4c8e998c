"""Runloop's secrets API over Kubernetes Secrets. Values go in and never come out."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from ranvier_apiserver import auth
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.routes import devbox_wire as wire
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Caller, TheFleet, body_of, once_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.runloop.params import CreateSecret, UpdateSecret

router = APIRouter(prefix="/v1/secrets")

Row = dict[str, Any]
CreateBody = Annotated[CreateSecret, Depends(body_of(CreateSecret))]
UpdateBody = Annotated[UpdateSecret, Depends(body_of(UpdateSecret))]


@router.post("")
@described(Operation([wire.SecretView]))
async def create(request: Request, caller: Caller, fleet: TheFleet, body: CreateBody) -> Row:
    """Keep a secret"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.vault.create(body.name, body.value, once_of(request.scope, key))


@router.get("")
@described(Operation([wire.SecretListView], parameters=queries.SECRETS))
async def page(request: Request, caller: Caller, fleet: TheFleet) -> Row:
    """List secrets, newest first, without their values"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return await fleet.vault.page(queries.limit(request.query_params))


@router.get("/id/{secret_id}")
@described(Operation([wire.SecretView]))
async def retrieve_by_id(secret_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Retrieve a secret by its id, without its value"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return await fleet.vault.retrieve_by_id(secret_id)


@router.post("/id/{secret_id}/update")
@described(Operation([wire.SecretView]))
async def update_by_id(secret_id: str, caller: Caller, fleet: TheFleet, body: UpdateBody) -> Row:
    """Give the secret of this id a new value"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.vault.update_by_id(secret_id, body.value)


@router.post("/id/{secret_id}/delete")
@described(Operation([wire.SecretView]))
async def delete_by_id(secret_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Delete the secret of this id"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.vault.delete_by_id(secret_id)


@router.get("/{name}")
@described(Operation([wire.SecretView]))
async def retrieve(name: str, caller: Caller, fleet: TheFleet) -> Row:
    """Retrieve a secret, without its value"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return await fleet.vault.retrieve(name)


@router.post("/{name}")
@described(Operation([wire.SecretView]))
async def update(name: str, caller: Caller, fleet: TheFleet, body: UpdateBody) -> Row:
    """Give a secret a new value; devboxes see it at their next start"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.vault.update(name, body.value)


@router.post("/{name}/delete")
@described(Operation([wire.SecretView]))
async def delete(name: str, caller: Caller, fleet: TheFleet) -> Row:
    """Delete a secret"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.vault.delete(name)
