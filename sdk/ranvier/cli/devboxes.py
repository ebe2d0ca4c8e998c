"""`ranvier devbox …`: the machines of agents, from the command line."""

from typing import Annotated, Final

import typer

from ranvier.cli import executions, output
from ranvier.cli.executions import DevboxArgument
from ranvier.cli.output import Format, FormatOption, QuietOption
from ranvier.cli.target import client_of

COLUMNS: Final = ("id", "name", "status", "reason", "create_time_ms")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Devboxes: the machines of agents, asleep between events.",
)


@app.command("list", epilog="\b\nExample:\n  ranvier devbox list --status suspended")
def list_devboxes(
    context: typer.Context,
    status: Annotated[
        str | None,
        typer.Option(help="Only those that are so: running, suspended, failure …"),
    ] = None,
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1, max=5000)] = 20,
    quiet: QuietOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """List devboxes, newest first. Looking wakes none."""
    with client_of(context) as client:
        page = client.devboxes.list(status=status, limit=limit)
    if quiet:
        output.ids(page.items)
        return
    output.table(page.items, COLUMNS, form)
    if page.has_more:
        output.note(f"There are more (--limit); {page.total_count} in all.")


@app.command()
def get(context: typer.Context, devbox: DevboxArgument, form: FormatOption = Format.TEXT) -> None:
    """Show one devbox, and why it is as it is."""
    with client_of(context) as client:
        output.one(client.devboxes.retrieve(devbox), form)


@app.command()
def suspend(
    context: typer.Context, devbox: DevboxArgument, form: FormatOption = Format.TEXT
) -> None:
    """Put a devbox to sleep now.

    Its home volume stays, processes and memory go. The next event wakes it.
    """
    with client_of(context) as client:
        output.table([client.devboxes.suspend(devbox)], COLUMNS, form)


@app.command()
def resume(
    context: typer.Context, devbox: DevboxArgument, form: FormatOption = Format.TEXT
) -> None:
    """Wake a devbox."""
    with client_of(context) as client:
        output.table([client.devboxes.resume(devbox)], COLUMNS, form)


@app.command(epilog="\b\nExample:\n  ranvier devbox wait DEVBOX --for suspended")
def wait(
    context: typer.Context,
    devbox: DevboxArgument,
    status: Annotated[str, typer.Option("--for", help="The status to wait for.")] = "running",
    form: FormatOption = Format.TEXT,
) -> None:
    """Wait until a devbox is running, or has another status.

    It gives up with exit code 1 after about a minute and a half.
    """
    with client_of(context) as client:
        output.table([client.devboxes.wait_for_status(devbox, [status])], COLUMNS, form)


app.command("exec", epilog=executions.EXEC_EPILOG, context_settings=executions.EXEC_CONTEXT)(
    executions.exec_command
)
app.command("logs")(executions.logs)


@app.command("keep-alive")
def keep_alive(context: typer.Context, devbox: DevboxArgument) -> None:
    """Let the idle time of a devbox begin anew."""
    with client_of(context) as client:
        client.devboxes.keep_alive(devbox)


@app.command()
def shutdown(
    context: typer.Context,
    devbox: DevboxArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """End a devbox for good. No event wakes it again."""
    if not yes:
        typer.confirm(f"Shut {devbox} down? No event will wake it again.", abort=True, err=True)
    with client_of(context) as client:
        output.table([client.devboxes.shutdown(devbox)], COLUMNS, form)
