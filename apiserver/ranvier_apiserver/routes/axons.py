"""Runloop's axon API, but for the routes of events: `publish.py`, `subscribe.py`, `events.py`."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from ranvier_apiserver import audit, auth
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.routes import queries, wire
from ranvier_apiserver.routes.context import Caller, TheStore, body_of, once_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.state import Axon

router = APIRouter(prefix="/v1/axons")

Metadata = Annotated[dict[Annotated[str, Field(max_length=256)], str], Field(max_length=256)]


class CreateAxon(BaseModel):
    """POST /v1/axons; every field may be left out."""

    model_config = ConfigDict(extra="ignore")

    name: str | None = Field(default=None, max_length=1024)
    metadata: Metadata | None = None


class UpdateAxon(BaseModel):
    """POST /v1/axons/{id}; metadata left out stays as it is, `{}` clears it."""

    model_config = ConfigDict(extra="ignore")

    metadata: Metadata | None = None


@router.post("")
@described(Operation([wire.AxonView]))
async def create(
    request: Request,
    caller: Caller,
    store: TheStore,
    body: Annotated[CreateAxon, Depends(body_of(CreateAxon))],
) -> dict[str, Any]:
    """Create an axon"""
    key = auth.require(caller, Scope.AXONS_WRITE)
    once = once_of(request.scope, key)
    axon = await store.create_axon(body.name, body.metadata or {}, once)
    audit.note(request.scope, axon_id=axon.axon_id)
    return view(axon)


@router.get("")
@described(Operation([wire.AxonListView], parameters=queries.AXONS))
async def list_axons(request: Request, caller: Caller, store: TheStore) -> dict[str, Any]:
    """List axons, newest first"""
    auth.require(caller, Scope.AXONS_READ)
    params = request.query_params
    found = await store.axons(queries.axons(params, params.multi_items()))
    answer: dict[str, Any] = {"axons": [view(a) for a in found.axons], "has_more": found.has_more}
    if found.total is not None:
        answer["total_count"] = found.total
    return answer


@router.get("/{axon_id}")
@described(Operation([wire.AxonView]))
async def retrieve(axon_id: str, caller: Caller, store: TheStore) -> dict[str, Any]:
    """Retrieve an axon; a deleted one says when it was"""
    auth.require(caller, Scope.AXONS_READ)
    return view(await store.axon(axon_id))


@router.post("/{axon_id}")
@described(Operation([wire.AxonView]))
async def update(
    axon_id: str,
    caller: Caller,
    store: TheStore,
    body: Annotated[UpdateAxon, Depends(body_of(UpdateAxon))],
) -> dict[str, Any]:
    """Change an axon's metadata"""
    auth.require(caller, Scope.AXONS_WRITE)
    return view(await store.update_axon(axon_id, body.metadata))


@router.delete("/{axon_id}")
@described(Operation([wire.Nothing]))
async def delete(axon_id: str, caller: Caller, store: TheStore) -> dict[str, Any]:
    """Delete an axon and its events; deleting it again is no error"""
    auth.require(caller, Scope.AXONS_WRITE)
    await store.delete_axon(axon_id)
    return {}


def view(axon: Axon) -> dict[str, Any]:
    """An axon as the published clients name its fields."""
    return {
        "id": axon.axon_id,
        "name": axon.name,
        "metadata": dict(axon.metadata),
        "created_at_ms": axon.created_at_ms,
        "deleted_at_ms": axon.deleted_at_ms,
    }
