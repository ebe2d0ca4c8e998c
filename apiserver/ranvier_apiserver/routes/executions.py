"""Runloop's executions: commands in a devbox, their output, their stdin, their end."""

import secrets
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from pydantic_core import to_json
from starlette.responses import Response

from ranvier_apiserver import auth, frames, problems
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.errors import (
    BadInput,
    InvalidField,
    RanvierError,
    SidecarAway,
    WaitExpired,
)
from ranvier_apiserver.executions import scripts, wire
from ranvier_apiserver.executions.service import (
    KILL_WAIT_SECONDS,
    WAIT_SECONDS_MAX,
    Executions,
    Output,
    State,
    name_for,
)
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Caller, body_of, context_of, once_of
from ranvier_apiserver.routes.described import Operation, Refusal, described
from ranvier_apiserver.routes.reaching import TheExecutions, uid_for
from ranvier_apiserver.routes.streaming import Emit, EventStream
from ranvier_apiserver.runloop import manifest

router = APIRouter(prefix="/v1/devboxes/{devbox_id}")

LAST_LINES: Final = 100
"""Lines of output in an answer, unless `last_n` says otherwise."""

EXPIRED: Final = {408: Refusal("It is in none of them yet; ask again")}


@router.post("/execute")
@described(Operation([wire.ExecutionView], parameters=queries.EXECUTION))
async def execute(
    request: Request,
    devbox_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.ExecuteParams, Depends(body_of(wire.ExecuteParams))],
) -> wire.ExecutionView:
    """Run a command and wait for its end, for a while; sent again with its command_id it is the
    same execution"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    _refuse_shell(body.shell_name)
    last_n = queries.last_n(request.query_params)
    uid = await uid_for(context_of(request), devbox_id)
    name = name_for(body.command_id.encode())
    await executions.start(uid, name, scripts.command(body.command), title=body.command)
    wait = manifest.patience(body.optimistic_timeout, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX)
    return _view(devbox_id, await executions.state(uid, name, last_n, wait))


@router.post("/execute_async")
@described(Operation([wire.ExecutionView]))
async def execute_async(
    request: Request,
    devbox_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.ExecuteAsyncParams, Depends(body_of(wire.ExecuteAsyncParams))],
) -> wire.ExecutionView:
    """Start a command; sent again with the same x-request-id it starts no second one"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    _refuse_shell(body.shell_name)
    uid = await uid_for(context_of(request), devbox_id)
    name = name_for(once_of(request.scope, key) or secrets.token_bytes(16))
    has_stdin = bool(body.attach_stdin)
    script = scripts.command(body.command)
    await executions.start(uid, name, script, has_stdin=has_stdin, title=body.command)
    return _view(devbox_id, await executions.state(uid, name, LAST_LINES))


@router.post("/execute_sync")
@described(Operation([wire.SyncExecutionView]))
async def execute_sync(
    request: Request,
    devbox_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.ExecuteAsyncParams, Depends(body_of(wire.ExecuteAsyncParams))],
) -> wire.SyncExecutionView:
    """Run a command to its end, however long it takes; `execute` is the better way"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    _refuse_shell(body.shell_name)
    if body.attach_stdin:
        raise InvalidField("attach_stdin: a command without an id can be sent no input.")
    uid = await uid_for(context_of(request), devbox_id)
    name = name_for(once_of(request.scope, key) or secrets.token_bytes(16))
    await executions.start(uid, name, scripts.command(body.command), title=body.command)
    while True:
        state = await executions.state(uid, name, queries.LINES_MAX, WAIT_SECONDS_MAX)
        if state.is_completed:
            break
    return wire.SyncExecutionView(
        devbox_id=devbox_id,
        exit_status=state.exit_status or 0,
        stdout=state.stdout.data.decode(errors="replace"),
        stderr=state.stderr.data.decode(errors="replace"),
    )


@router.get("/executions")
@described(Operation([wire.ExecutionList]))
async def page(
    request: Request, devbox_id: str, caller: Caller, executions: TheExecutions
) -> wire.ExecutionList:
    """List the executions that are still known, oldest first, without their output"""
    auth.require(caller, Scope.DEVBOXES_READ)
    uid = await uid_for(context_of(request), devbox_id)
    found = await executions.all(uid)
    return wire.ExecutionList(executions=[_view(devbox_id, state, brief=True) for state in found])


@router.get("/executions/{execution_id}")
@described(Operation([wire.ExecutionView], parameters=queries.EXECUTION))
async def retrieve(
    request: Request, devbox_id: str, execution_id: str, caller: Caller, executions: TheExecutions
) -> wire.ExecutionView:
    """How an execution stands, and its last lines"""
    auth.require(caller, Scope.DEVBOXES_READ)
    last_n = queries.last_n(request.query_params)
    uid = await uid_for(context_of(request), devbox_id)
    return _view(devbox_id, await executions.state(uid, execution_id, last_n))


@router.post("/executions/{execution_id}/wait_for_status")
@described(Operation([wire.ExecutionView], parameters=queries.EXECUTION, refusals=EXPIRED))
async def wait_for_status(
    request: Request,
    devbox_id: str,
    execution_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.WaitParams, Depends(body_of(wire.WaitParams))],
) -> wire.ExecutionView:
    """Wait until an execution is in one of these states, at most 25 seconds"""
    auth.require(caller, Scope.DEVBOXES_READ)
    last_n = queries.last_n(request.query_params)
    uid = await uid_for(context_of(request), devbox_id)
    state = await executions.state(uid, execution_id, last_n)
    if state.status not in body.statuses:
        # Only the end is worth waiting for: who is told of a start has waited for it.
        wait = manifest.patience(body.timeout_seconds, WAIT_SECONDS_MAX, WAIT_SECONDS_MAX)
        state = await executions.state(uid, execution_id, last_n, wait)
    if state.status not in body.statuses:
        raise WaitExpired(f"Execution {execution_id} is still {state.status}; ask again.")
    return _view(devbox_id, state)


@router.post("/executions/{execution_id}/kill")
@described(Operation([wire.ExecutionView]))
async def kill(
    request: Request,
    devbox_id: str,
    execution_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.KillParams, Depends(body_of(wire.KillParams))],
) -> wire.ExecutionView:
    """Kill a command and all that it started"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    uid = await uid_for(context_of(request), devbox_id)
    await executions.signal(uid, execution_id, "KILL")
    state = await executions.state(uid, execution_id, LAST_LINES, KILL_WAIT_SECONDS)
    return _view(devbox_id, state)


@router.post("/executions/{execution_id}/send_std_in")
@described(Operation([wire.StdinView]))
async def send_std_in(
    request: Request,
    devbox_id: str,
    execution_id: str,
    caller: Caller,
    executions: TheExecutions,
    body: Annotated[wire.StdinParams, Depends(body_of(wire.StdinParams))],
) -> wire.StdinView:
    """Write to a command's stdin, end it, or interrupt the command"""
    key = auth.require(caller, Scope.DEVBOXES_WRITE)
    if (body.text is None) == (body.signal is None):
        raise BadInput("Send either text or a signal.")
    uid = await uid_for(context_of(request), devbox_id)
    if body.signal == "INTERRUPT":
        await executions.signal(uid, execution_id, "INT")
    else:
        once = (once_of(request.scope, key) or secrets.token_bytes(16)).hex()
        data, ends = (body.text or "").encode(), body.signal == "EOF"
        await executions.write(uid, execution_id, data, key=once, ends=ends)
    return wire.StdinView(devbox_id=devbox_id, execution_id=execution_id, success=True)


@router.get("/executions/{execution_id}/stream_stdout_updates")
@described(Operation(media_type="text/event-stream", parameters=queries.STREAM))
async def stream_stdout_updates(
    request: Request, devbox_id: str, execution_id: str, caller: Caller, executions: TheExecutions
) -> Response:
    """Follow a command's stdout from any byte on, to its end"""
    return await _follow(request, devbox_id, execution_id, caller, executions, "stdout")


@router.get("/executions/{execution_id}/stream_stderr_updates")
@described(Operation(media_type="text/event-stream", parameters=queries.STREAM))
async def stream_stderr_updates(
    request: Request, devbox_id: str, execution_id: str, caller: Caller, executions: TheExecutions
) -> Response:
    """Follow a command's stderr from any byte on, to its end"""
    return await _follow(request, devbox_id, execution_id, caller, executions, "stderr")


async def _follow(
    request: Request,
    devbox_id: str,
    name: str,
    caller: Caller,
    executions: Executions,
    output: Output,
) -> Response:
    auth.require(caller, Scope.DEVBOXES_READ)
    offset = queries.offset(request.query_params)
    uid = await uid_for(context_of(request), devbox_id)
    # Unknown executions are refused before the stream begins.
    await executions.state(uid, name, 0)

    async def follow(emit: Emit) -> None:
        try:
            async for text, end in executions.texts(uid, name, output, offset):
                await emit(_frame(text, end) if text else frames.PING)
        except SidecarAway as error:
            # The published clients come back with the last offset they saw.
            await emit(frames.error(408, str(error)))
        except RanvierError as error:
            await emit(frames.error(problems.status_of(error), str(error)))

    return EventStream(follow)


def _frame(text: str, offset: int) -> bytes:
    return b"data: " + to_json({"output": text, "offset": offset}) + b"\n\n"


def _view(devbox_id: str, state: State, *, brief: bool = False) -> wire.ExecutionView:
    view = wire.ExecutionView(
        devbox_id=devbox_id,
        execution_id=state.name,
        status=state.status,
        exit_status=state.exit_status,
    )
    if brief:
        return view
    return view.model_copy(
        update={
            "stdout": state.stdout.data.decode(errors="replace"),
            "stderr": state.stderr.data.decode(errors="replace"),
            "stdout_truncated": state.stdout.is_cut,
            "stderr_truncated": state.stderr.is_cut,
        }
    )


def _refuse_shell(name: str | None) -> None:
    if name:
        raise InvalidField(
            "shell_name: named shells are not served; start one shell and use stdin."
        )
