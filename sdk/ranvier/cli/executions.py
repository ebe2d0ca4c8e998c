"""`ranvier devbox exec` and `logs`: commands in a devbox, with their output as it comes."""

import asyncio
import codecs
import os
import shlex
import signal
import sys
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ranvier.cli import output
from ranvier.cli.output import Format, FormatOption
from ranvier.cli.target import Target, client_of
from ranvier.client.errors import RanvierError, StatusError

if TYPE_CHECKING:
    from ranvier import AsyncRanvier
    from ranvier.client.devbox_calls import Output
    from ranvier.client.models import Execution, LogEntry

STDIN_BYTES: Final = 65536
"""Most that is sent to a command at once."""

WRONG_STATE: Final = "wrong_state"
_AWAKE: Final = ("running", "failure", "shutdown")
"""Once it is one of these there is nothing more to wait for."""

EXEC_CONTEXT: Final = {"allow_interspersed_args": False}
EXEC_EPILOG: Final = """One COMMAND is a line for the devbox's login shell; several are a program
and its arguments. The exit code is the command's. Ctrl-C interrupts the command, a second one
kills it.

\b
Examples:
  ranvier devbox exec DEVBOX 'git pull && make test'
  ranvier devbox exec DEVBOX -- ls -la
  ranvier devbox exec -i DEVBOX 'git apply' < fix.patch
"""

DevboxArgument = Annotated[str, typer.Argument(help="Id of the devbox.", metavar="DEVBOX")]


def exec_command(
    context: typer.Context,
    devbox: DevboxArgument,
    command: Annotated[list[str], typer.Argument(help="What to run.", metavar="COMMAND")],
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Hand stdin over, which must be text.")
    ] = False,
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Print the execution's id and leave it alone.")
    ] = False,
) -> None:
    """Run a command in a devbox. One that sleeps is woken."""
    words = command[1:] if command[0] == "--" else command
    if not words:
        raise typer.BadParameter("There is no command after --.")
    line = words[0] if len(words) == 1 else shlex.join(words)
    target: Target = context.obj
    raise typer.Exit(asyncio.run(_run(target, devbox, line, interactive, detach)))


def logs(
    context: typer.Context,
    devbox: DevboxArgument,
    execution: Annotated[
        str | None,
        typer.Argument(help="Id of the execution (default: the newest).", metavar="EXECUTION"),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="All of it, and what comes, until it ends.")
    ] = False,
    every: Annotated[
        bool, typer.Option("--all", help="Every command that is still known, with its end.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show what a command in a devbox has written."""
    with client_of(context) as client:
        if every:
            for entry in client.devboxes.logs(devbox, execution_id=execution):
                _tell(entry, form)
            return
        if execution is None:
            known = client.devboxes.executions(devbox)
            if not known:
                raise RanvierError("No command was run in this devbox since it woke.")
            execution = known[-1].execution_id
        if not follow:
            _show(client.devboxes.execution(devbox, execution), form)
            return
    target: Target = context.obj
    asyncio.run(_follow(target, devbox, execution))


def _tell(entry: "LogEntry", form: Format) -> None:
    if form is Format.JSON:
        output.as_json(entry)
    elif entry.cmd is not None:
        output.say(f"$ {output.printable(entry.cmd)}  # {entry.cmd_id}")
    elif entry.exit_code is not None:
        output.note(f"exit code {entry.exit_code}")
    else:
        output.raw(f"{entry.message}\n", to_stderr=entry.level == "error")


def _show(execution: "Execution", form: Format) -> None:
    if form is Format.JSON:
        output.as_json(execution)
        return
    if execution.stdout_truncated or execution.stderr_truncated:
        output.note("These are the last lines; --follow shows all.")
    output.raw(execution.stdout or "")
    output.raw(execution.stderr or "", to_stderr=True)
    if not execution.is_completed:
        output.note("It still runs.")


async def _follow(target: Target, devbox: str, execution: str) -> None:
    failed: Exception | None = None
    async with target.asynchronous() as client:
        try:
            await _copy_output(client, devbox, execution)
        except* (RanvierError, output.NobodyReads) as errors:
            failed = _innermost(errors)
    if failed is not None:
        raise failed


async def _run(target: Target, devbox: str, line: str, interactive: bool, detach: bool) -> int:
    async with target.asynchronous() as client:
        begun = await _begin(client, devbox, line, interactive)
        if detach:
            output.say(begun.execution_id)
            return 0
        await _attend(client, begun, interactive)
        status = (await client.devboxes.execution(devbox, begun.execution_id)).exit_status
    return status if status is not None else 1


async def _begin(client: "AsyncRanvier", devbox: str, line: str, stdin: bool) -> "Execution":
    try:
        return await client.devboxes.execute_async(devbox, line, attach_stdin=stdin or None)
    except StatusError as error:
        if error.code != WRONG_STATE:
            raise
    found = await client.devboxes.wait_for_status(devbox, ["suspended", *_AWAKE])
    if found.status == "suspended":
        output.note("(it sleeps; waking it)")
        await client.devboxes.resume(devbox)
        await client.devboxes.wait_for_status(devbox, _AWAKE)
    return await client.devboxes.execute_async(devbox, line, attach_stdin=stdin or None)


async def _attend(client: "AsyncRanvier", begun: "Execution", interactive: bool) -> None:
    """Stay with a command until it ends: its output, its input, Ctrl-C."""
    failed: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(_hand_on_interrupts(client, begun))]
            if interactive:
                beside.append(group.create_task(_feed(client, begun)))
            await _copy_output(client, begun.devbox_id, begun.execution_id)
            for task in beside:
                task.cancel()
    except* (RanvierError, output.NobodyReads) as errors:  # the task group has wrapped it
        failed = _innermost(errors)
    if failed is not None:
        raise failed


def _innermost(errors: BaseExceptionGroup[Exception]) -> Exception:
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, Exception)
    return first


async def _copy_output(client: "AsyncRanvier", devbox: str, execution: str) -> None:
    async def copy(name: "Output", to_stderr: bool) -> None:
        async for text in client.devboxes.output(devbox, execution, name):
            output.raw(text, to_stderr=to_stderr)

    async with asyncio.TaskGroup() as group:
        group.create_task(copy("stdout", False))
        group.create_task(copy("stderr", True))


async def _hand_on_interrupts(client: "AsyncRanvier", execution: "Execution") -> None:
    """Ctrl-C is the command's; who presses it again wants it dead."""
    loop, pressed = asyncio.get_running_loop(), asyncio.Semaphore(0)
    loop.add_signal_handler(signal.SIGINT, pressed.release)
    where = (execution.devbox_id, execution.execution_id)
    try:
        await pressed.acquire()
        await client.devboxes.send_stdin(*where, signal="INTERRUPT")
        await pressed.acquire()
        await client.devboxes.kill(*where)
        await pressed.acquire()
        raise RanvierError("Left before the command had ended.")
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def _feed(client: "AsyncRanvier", execution: "Execution") -> None:
    try:
        await _send_stdin(client, execution)
    except StatusError:
        now = await client.devboxes.execution(execution.devbox_id, execution.execution_id)
        if not now.is_completed:  # else it did not wait for the rest, as `| head` does not
            raise


async def _send_stdin(client: "AsyncRanvier", execution: "Execution") -> None:
    where = (execution.devbox_id, execution.execution_id)
    decoder = codecs.getincrementaldecoder("utf-8")(errors="strict")
    try:
        async for chunk in _stdin():
            if text := decoder.decode(chunk):
                await client.devboxes.send_stdin(*where, text=text)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        raise RanvierError("What stdin holds is no UTF-8 text.", "Encode it (base64).") from None
    await client.devboxes.send_stdin(*where, signal="EOF")


async def _stdin() -> AsyncGenerator[bytes, None]:
    """Chunks of stdin; read only when the last one was taken."""
    loop, descriptor = asyncio.get_running_loop(), sys.stdin.fileno()
    while True:
        there = asyncio.Event()
        try:
            loop.add_reader(descriptor, there.set)
        except PermissionError:  # a file: it is always there
            there.set()
        try:
            await there.wait()
        finally:
            loop.remove_reader(descriptor)
        chunk = os.read(descriptor, STDIN_BYTES)
        if not chunk:
            return
        yield chunk
