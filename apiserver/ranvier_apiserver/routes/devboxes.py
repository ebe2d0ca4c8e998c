"""Runloop's devbox API: life and state. What it has beyond is in `unserved.py`."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request

from ranvier_apiserver import audit, auth
from ranvier_apiserver.auth import ApiKey, Scope
from ranvier_apiserver.errors import BadInput
from ranvier_apiserver.fleet.paging import Ask
from ranvier_apiserver.routes import devbox_wire as wire
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Caller, TheFleet, body_of, once_of
from ranvier_apiserver.routes.described import Operation, Refusal, described
from ranvier_apiserver.routes.wire import Nothing
from ranvier_apiserver.runloop import manifest, mounts
from ranvier_apiserver.runloop.params import CreateDevbox, UpdateDevbox, WaitForStatus
from ranvier_apiserver.runloop.status import Status

router = APIRouter(prefix="/v1/devboxes")

CREATE_WAIT_SECONDS: Final = 10.0
"""How long create_and_await_running is held; clients wait 30 s for an answer and then go on with
wait_for_status."""
WAIT_SECONDS: Final = 10.0
WAIT_SECONDS_MAX: Final = 30.0

EXPIRED: Final = {408: Refusal("It is in none of them yet; ask again")}
ENDED: Final = frozenset({Status.RUNNING, Status.FAILURE, Status.SHUTDOWN})

Row = dict[str, Any]
CreateBody = Annotated[CreateDevbox, Depends(body_of(CreateDevbox))]


@router.post("")
@described(Operation([wire.DevboxView]))
async def create(request: Request, caller: Caller, fleet: TheFleet, body: CreateBody) -> Row:
    """Make a devbox; sent again with the same x-request-id it makes no second one"""
    made = await fleet.boxes.create(body, once_of(request.scope, _may_create(caller, body)))
    audit.note(request.scope, devbox_id=made["id"])
    return made


@router.post("/create_and_await_running")
@described(Operation([wire.DevboxView]))
async def create_and_await_running(
    request: Request, caller: Caller, fleet: TheFleet, body: CreateBody
) -> Row:
    """Make a devbox; answers in whatever state it is after a short wait"""
    made = await fleet.boxes.create(body, once_of(request.scope, _may_create(caller, body)))
    audit.note(request.scope, devbox_id=made["id"])
    return await fleet.boxes.settled(made["id"], ENDED, CREATE_WAIT_SECONDS)


@router.get("")
@described(Operation([wire.DevboxListView], parameters=queries.DEVBOXES))
async def page(request: Request, caller: Caller, fleet: TheFleet) -> Row:
    """List devboxes, whoever made them, newest first"""
    auth.require(caller, Scope.DEVBOXES_READ)
    status = request.query_params.get("status")
    return fleet.boxes.page(ask(request), _status(status) if status else None)


@router.get("/{devbox_id}")
@described(Operation([wire.DevboxView]))
async def retrieve(devbox_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Retrieve a devbox"""
    auth.require(caller, Scope.DEVBOXES_READ)
    return await fleet.boxes.retrieve(devbox_id)


@router.post("/{devbox_id}")
@described(Operation([wire.DevboxView]))
async def update(
    devbox_id: str,
    caller: Caller,
    fleet: TheFleet,
    body: Annotated[UpdateDevbox, Depends(body_of(UpdateDevbox))],
) -> Row:
    """Change the name or metadata of a devbox"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.boxes.update(devbox_id, body)


@router.post("/{devbox_id}/wait_for_status")
@described(Operation([wire.DevboxView], refusals=EXPIRED))
async def wait_for_status(
    devbox_id: str,
    caller: Caller,
    fleet: TheFleet,
    body: Annotated[WaitForStatus, Depends(body_of(WaitForStatus))],
) -> Row:
    """Wait for one of these states: 200 only in one of them, 408 when the time is over"""
    auth.require(caller, Scope.DEVBOXES_READ)
    wanted = frozenset(_status(word) for word in body.statuses)
    seconds = manifest.patience(body.timeout_seconds, WAIT_SECONDS, WAIT_SECONDS_MAX)
    return await fleet.boxes.wait(devbox_id, wanted, seconds)


@router.post("/{devbox_id}/suspend")
@described(Operation([wire.DevboxView]))
async def suspend(request: Request, devbox_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Put a running devbox to sleep; its volume is kept, the next event wakes it"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.boxes.suspend(devbox_id, once_of(request.scope, key))


@router.post("/{devbox_id}/resume")
@described(Operation([wire.DevboxView]))
async def resume(request: Request, devbox_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Wake a sleeping devbox"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.boxes.resume(devbox_id, once_of(request.scope, key))


@router.post("/{devbox_id}/shutdown")
@described(Operation([wire.DevboxView]))
async def shutdown(request: Request, devbox_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """End a devbox, from every state; its record stays

    `force` changes nothing: there are no snapshots that it could break off.
    """
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    return await fleet.boxes.shutdown(devbox_id, once_of(request.scope, key))


@router.post("/{devbox_id}/keep_alive")
@described(Operation([Nothing]))
async def keep_alive(devbox_id: str, caller: Caller, fleet: TheFleet) -> Row:
    """Begin the idle time anew"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    await fleet.boxes.keep_alive(devbox_id)
    return {}


def ask(request: Request) -> Ask:
    """Paging as all lists have it."""
    params = request.query_params
    return Ask(
        queries.limit(params), params.get("starting_after") or None, queries.with_total(params)
    )


def _may_create(caller: auth.Principal, body: CreateDevbox) -> ApiKey:
    """A broker reads its axon and appends to it, so mounting one takes the right to do so."""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    if mounts.axon_ids(body):
        auth.require(caller, Scope.AXONS_WRITE)
        auth.require(caller, Scope.AXONS_READ)
    return key


def _status(word: str) -> Status:
    try:
        return Status(word)
    except ValueError:
        raise BadInput(f"status: {word!r} is none of {', '.join(Status)}.") from None
