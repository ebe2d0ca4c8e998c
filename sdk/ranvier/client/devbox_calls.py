"""The calls on devboxes and on commands in them (Runloop's routes). Pure: no call is made here."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import quote

from pydantic import TypeAdapter

from ranvier.client.calls import Call, as_page, as_query, given, reader
from ranvier.client.models import Devbox, Execution, LogEntry, Nothing, Page

DEVBOXES: Final = "/v1/devboxes"
WAIT_SECONDS: Final = 20.0
"""One wait for a status; shorter than a client waits for an answer."""

Output = Literal["stdout", "stderr"]
Signal = Literal["EOF", "INTERRUPT"]

_devbox: Final = reader(Devbox)
_nothing: Final = reader(Nothing)
_execution: Final = reader(Execution)
_executions: Final = TypeAdapter(list[Execution])
_logs: Final = TypeAdapter(list[LogEntry])
_devbox_page: Final = TypeAdapter(Page[Devbox])


def broker_mount(
    axon_id: str,
    *,
    protocol: str = "acp",
    agent_binary: str | None = None,
    launch_args: Sequence[str] = (),
    working_directory: str | None = None,
) -> dict[str, Any]:
    """A mount for `create`: this agent takes its turns from this axon."""
    return given(
        type="broker_mount",
        axon_id=axon_id,
        protocol=protocol,
        agent_binary=agent_binary,
        launch_args=list(launch_args),
        working_directory=working_directory,
    )


def create(
    *,
    name: str | None = None,
    blueprint_name: str | None = None,
    blueprint_id: str | None = None,
    mounts: Sequence[Mapping[str, Any]] | None = None,
    launch_parameters: Mapping[str, Any] | None = None,
    environment_variables: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    entrypoint: str | None = None,
    metadata: Mapping[str, str] | None = None,
    request_id: str | None = None,
) -> Call[Devbox]:
    """Make a devbox; it comes back while it starts. Two calls with one `request_id` make one."""
    body = given(
        name=name,
        blueprint_name=blueprint_name,
        blueprint_id=blueprint_id,
        mounts=None if mounts is None else [dict(mount) for mount in mounts],
        launch_parameters=launch_parameters,
        environment_variables=environment_variables,
        secrets=secrets,
        entrypoint=entrypoint,
        metadata=metadata,
    )
    return Call("POST", DEVBOXES, _devbox, body=body, request_id=request_id)


def retrieve(devbox_id: str) -> Call[Devbox]:
    """The devbox as it is now. Looking neither wakes it nor counts as activity (W7)."""
    return Call("GET", _path(devbox_id), _devbox)


def list_devboxes(
    *,
    status: str | None = None,
    limit: int | None = None,
    starting_after: str | None = None,
    include_total_count: bool | None = None,
) -> Call[Page[Devbox]]:
    """A page of devboxes, newest first; `starting_after` the last id seen."""
    query = as_query(
        status=status,
        limit=limit,
        starting_after=starting_after,
        include_total_count=include_total_count,
    )
    return Call("GET", DEVBOXES, _read_page, query=query)


def wait_for_status(
    devbox_id: str, statuses: Sequence[str], *, timeout_seconds: float = WAIT_SECONDS
) -> Call[Devbox]:
    """Answers once the devbox has one of these statuses.

    When the time is over (at most 30 s) the server says so and the call is repeated like any other
    that had to wait, so `retries` bounds it; then StatusError with status 408.
    """
    body = {"statuses": list(statuses), "timeout_seconds": timeout_seconds}
    return Call("POST", _path(devbox_id, "wait_for_status"), _devbox, body=body)


def suspend(devbox_id: str) -> Call[Devbox]:
    """Put it to sleep: the home volume stays, processes and memory go (W8). An event wakes it."""
    return Call("POST", _path(devbox_id, "suspend"), _devbox)


def resume(devbox_id: str) -> Call[Devbox]:
    """Wake it."""
    return Call("POST", _path(devbox_id, "resume"), _devbox)


def shutdown(devbox_id: str) -> Call[Devbox]:
    """End it for good; no event wakes it again. Doing it twice is the same as once."""
    return Call("POST", _path(devbox_id, "shutdown"), _devbox)


def keep_alive(devbox_id: str) -> Call[Nothing]:
    """Count as activity: its idle time begins anew."""
    return Call("POST", _path(devbox_id, "keep_alive"), _nothing)


def executions(devbox_id: str) -> Call[list[Execution]]:
    """The commands that the devbox still knows of, oldest first, without their output."""
    return Call("GET", _path(devbox_id, "executions"), _read_executions)


def execute_async(
    devbox_id: str,
    command: str,
    *,
    attach_stdin: bool | None = None,
    request_id: str | None = None,
) -> Call[Execution]:
    """Start a command in a login shell; two calls with one `request_id` start one."""
    body = given(command=command, attach_stdin=attach_stdin)
    path = _path(devbox_id, "execute_async")
    return Call("POST", path, _execution, body=body, request_id=request_id)


def execution(devbox_id: str, execution_id: str) -> Call[Execution]:
    """How a command stands, with the last lines of its output."""
    return Call("GET", execution_path(devbox_id, execution_id), _execution)


def logs(devbox_id: str, *, execution_id: str | None = None) -> Call[list[LogEntry]]:
    """The devbox's commands, oldest first: each one's start, its last lines, its end."""
    query = as_query(execution_id=execution_id)
    return Call("GET", _path(devbox_id, "logs"), _read_logs, query=query)


def send_stdin(
    devbox_id: str, execution_id: str, *, text: str | None = None, signal: Signal | None = None
) -> Call[Nothing]:
    """Write to the command's stdin, or end it (EOF), or interrupt the command."""
    body = given(text=text, signal=signal)
    path = execution_path(devbox_id, execution_id, "send_std_in")
    return Call("POST", path, _nothing, body=body)


def kill(devbox_id: str, execution_id: str) -> Call[Execution]:
    """Kill a command and all that it started."""
    return Call("POST", execution_path(devbox_id, execution_id, "kill"), _execution, body={})


def execution_path(devbox_id: str, execution_id: str, tail: str = "") -> str:
    """Path of a route of a command."""
    end = f"/{tail}" if tail else ""
    return _path(devbox_id, f"executions/{quote(execution_id, safe='')}{end}")


def _path(devbox_id: str, tail: str = "") -> str:
    return f"{DEVBOXES}/{quote(devbox_id, safe='')}" + (f"/{tail}" if tail else "")


def _read_page(body: bytes) -> Page[Devbox]:
    return _devbox_page.validate_python(as_page(body, "devboxes"))


def _read_executions(body: bytes) -> list[Execution]:
    return _executions.validate_python(as_page(body, "executions")["items"])


def _read_logs(body: bytes) -> list[LogEntry]:
    return _logs.validate_python(as_page(body, "logs")["items"])
