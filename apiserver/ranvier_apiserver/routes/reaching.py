"""From a devbox's id in a path to its sidecar: who may, whether it is there, whether it runs."""

from typing import Annotated, Final

from fastapi import Depends, Request
from ranvier.events import DEVBOX_ID_PREFIX

from ranvier_apiserver.errors import NotFound, RanvierError, WrongState
from ranvier_apiserver.executions.files import Files
from ranvier_apiserver.executions.service import Executions
from ranvier_apiserver.routes.context import Context, context_of
from ranvier_apiserver.runloop.naming import uid_of
from ranvier_apiserver.runloop.status import Status

GONE: Final = frozenset({Status.SUSPENDING, Status.SUSPENDED, Status.SHUTDOWN, Status.FAILURE})
"""States in which no sidecar will answer; in all others one does, or will soon."""


async def uid_for(context: Context, devbox_id: str) -> str:
    """The devbox's UID. Raises NotFound, and WrongState where nothing runs."""
    uid = uid_of(DEVBOX_ID_PREFIX, devbox_id)
    if context.sidecars.is_open(uid):
        return uid
    status = await _status(context, devbox_id, uid)
    if status in GONE:
        then = "resume it first" if "suspend" in status else "create another one"
        raise WrongState(f"Devbox {devbox_id} is {status}, so nothing runs in it; {then}.")
    return uid


async def _status(context: Context, devbox_id: str, uid: str) -> str:
    if context.fleet is not None:
        return str((await context.fleet.boxes.retrieve(devbox_id))["status"])
    try:
        known = await context.store.devbox(uid)
    except RanvierError:
        raise NotFound(f"There is no devbox {devbox_id!r}.") from None
    return Status.SUSPENDED if known.asleep and not known.wanted else Status.PROVISIONING


async def _executions(request: Request) -> Executions:
    return Executions(context_of(request).sidecars)


async def _files(request: Request) -> Files:
    return Files(Executions(context_of(request).sidecars))


TheExecutions = Annotated[Executions, Depends(_executions)]
TheFiles = Annotated[Files, Depends(_files)]
