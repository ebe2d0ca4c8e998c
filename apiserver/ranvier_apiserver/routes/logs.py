"""Runloop's log of a devbox: the commands that were run in it, and what they wrote."""

from fastapi import APIRouter, Request

from ranvier_apiserver import auth
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.errors import ExecutionNotFound
from ranvier_apiserver.executions import logs as words
from ranvier_apiserver.executions.logs import LogListView
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Caller, context_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.reaching import TheExecutions, uid_for

router = APIRouter(prefix="/v1/devboxes/{devbox_id}")


@router.get("/logs")
@described(Operation([LogListView], parameters=queries.LOGS))
async def logs(
    request: Request, devbox_id: str, caller: Caller, executions: TheExecutions
) -> LogListView:
    """The commands that are still known and the last lines of their output, oldest first

    Output of launch commands and of the entrypoint is in the log of the pod's container `devbox`.
    """
    auth.require(caller, Scope.DEVBOXES_READ)
    wanted = request.query_params.get("execution_id") or None
    uid = await uid_for(context_of(request), devbox_id)
    known = await executions.all(uid)
    if request.query_params.get("shell_name"):
        known = []  # there are no named shells, so nothing was run in this one
    found: list[words.LogView] = []
    for state in words.shown(known, wanted):
        try:
            found += words.entries(await executions.state(uid, state.name, words.LINES_MAX))
        except ExecutionNotFound:
            continue  # forgotten since the list was made: the oldest go first
    return LogListView(logs=found)
