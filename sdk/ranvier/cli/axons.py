"""`ranvier axon …` and `ranvier verify`: journals from the command line."""

import json
import sys
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from ranvier.cli import output
from ranvier.cli.output import Format, FormatOption, QuietOption
from ranvier.cli.target import client_of
from ranvier.client.errors import RanvierError
from ranvier.events import Origin
from ranvier.verify import Checker

EXIT_BROKEN: Final = 5
EVENTS_SHOWN: Final = 20
"""How many events `events` and `tail` begin with."""

FINDINGS_SHOWN: Final = 100
"""A damaged axon may have as many findings as events."""

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Axons: durable journals of events."
)

AxonArgument = Annotated[str, typer.Argument(help="Id of the axon.", metavar="AXON")]


class Said(StrEnum):
    """Origins that clients may publish, in short."""

    USER = "user"
    EXTERNAL = "external"
    AGENT = "agent"


_ORIGINS: Final = {
    Said.USER: Origin.USER,
    Said.EXTERNAL: Origin.EXTERNAL,
    Said.AGENT: Origin.AGENT,
}

PUBLISH_EPILOG: Final = """\b
Examples:
  ranvier axon publish AXON user.message '{"content": "Fix the build"}'
  ranvier axon publish AXON push --origin external --source github - < payload.json
"""

TAIL_EPILOG: Final = """\b
Examples:
  ranvier axon tail AXON
  ranvier axon tail AXON --after 0 -o json | jq .payload
  ranvier axon tail AXON --until turn.completed
"""

SQL_EPILOG: Final = """\b
Examples:
  ranvier axon sql AXON 'CREATE TABLE tasks (id INTEGER PRIMARY KEY, title TEXT)'
  ranvier axon sql AXON 'INSERT INTO tasks (title) VALUES (?)' 'Fix the build'
  ranvier axon sql AXON 'SELECT event_type, count(*) FROM rl_axon_events GROUP BY 1'
"""

VERIFY_EPILOG: Final = """\b
Examples:
  ranvier verify AXON
  ranvier verify AXON --idle -o json || echo "broken promises"
"""


@app.command(epilog="\b\nExample:\n  ranvier axon create fixer --metadata team=a")
def create(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(help="A name; need not be unique.", metavar="NAME")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="May be given several times.", metavar="KEY=VALUE"),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Make an axon and print its id."""
    pairs = dict(_pair(text) for text in metadata or [])
    with client_of(context) as client:
        axon = client.axons.create(name, metadata=pairs or None)
    output.as_json(axon) if form is Format.JSON else output.say(axon.id)


@app.command("list", epilog="\b\nExample:\n  AXON=$(ranvier axon list --name fixer -q)")
def list_axons(
    context: typer.Context,
    name: Annotated[str | None, typer.Option(help="Names that begin so.")] = None,
    search: Annotated[str | None, typer.Option(help="Ids or names that hold this.")] = None,
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1, max=5000)] = 20,
    quiet: QuietOption = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """List axons, newest first."""
    with client_of(context) as client:
        page = client.axons.list(name=name, search=search, limit=limit)
    if quiet:
        output.ids(page.items)
        return
    output.table(page.items, ("id", "name", "created_at_ms", "deleted_at_ms", "metadata"), form)
    if page.has_more:
        output.note(f"There are more (--limit); {page.total_count} in all.")


@app.command()
def get(context: typer.Context, axon: AxonArgument, form: FormatOption = Format.TEXT) -> None:
    """Show one axon."""
    with client_of(context) as client:
        output.one(client.axons.retrieve(axon), form)


@app.command()
def delete(
    context: typer.Context,
    axon: AxonArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete an axon's events for good."""
    if not yes:
        typer.confirm(f"Delete {axon} and all its events?", abort=True, err=True)
    with client_of(context) as client:
        client.axons.delete(axon)


@app.command(epilog=PUBLISH_EPILOG)
def publish(
    context: typer.Context,
    axon: AxonArgument,
    event_type: Annotated[
        str, typer.Argument(help="What happened, like user.message.", metavar="EVENT_TYPE")
    ],
    payload: Annotated[
        str,
        typer.Argument(help="Stored byte for byte; - reads it from stdin.", metavar="PAYLOAD"),
    ] = "{}",
    origin: Annotated[Said, typer.Option(help="Who produced it.")] = Said.USER,
    source: Annotated[str, typer.Option(help="Where it comes from.")] = "ranvier-cli",
    request_id: Annotated[
        str | None, typer.Option(help="Publishing again with the same id appends nothing.")
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Append an event and print its sequence. When it is printed, the event is on disk."""
    text = _stdin() if payload == "-" else payload
    with client_of(context) as client:
        published = client.axons.publish(
            axon, event_type, text, origin=_ORIGINS[origin], source=source, request_id=request_id
        )
    output.as_json(published) if form is Format.JSON else output.say(str(published.sequence))


@app.command(epilog=TAIL_EPILOG)
def tail(
    context: typer.Context,
    axon: AxonArgument,
    after: Annotated[
        int | None, typer.Option(help="Begin after this sequence (default: the newest 20).", min=0)
    ] = None,
    until: Annotated[str | None, typer.Option(help="End with an event of this type.")] = None,
    whole: Annotated[bool, typer.Option("--whole", help="Do not cut long payloads.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show events as they come, until Ctrl-C. Broken connections are resumed without a gap."""
    with client_of(context) as client:
        if after is None:
            head = client.axons.events(axon, limit=1, include_total_count=True).total_count or 0
            after = max(head - EVENTS_SHOWN, 0)
        with client.axons.subscribe(axon, after) as events:
            for event in events:
                output.event(event, form, whole=whole)
                if event.event_type == until:
                    return


@app.command()
def events(
    context: typer.Context,
    axon: AxonArgument,
    limit: Annotated[
        int, typer.Option(help="How many at the most.", min=1, max=5000)
    ] = EVENTS_SHOWN,
    before: Annotated[int | None, typer.Option(help="Older than this sequence.", min=1)] = None,
    everything: Annotated[bool, typer.Option("--all", help="All events of the axon.")] = False,
    whole: Annotated[bool, typer.Option("--whole", help="Do not cut long payloads.")] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Show the newest events and end.

    The oldest of them comes first, as in `tail`.
    """
    with client_of(context) as client:
        if everything:
            for event in client.axons.history(axon):
                output.event(event, form, whole=whole)
            return
        page = client.axons.events(axon, limit=limit, before_sequence=before)
    for event in reversed(page.items):
        output.event(event, form, whole=whole)


@app.command(epilog=SQL_EPILOG)
def sql(
    context: typer.Context,
    axon: AxonArgument,
    statement: Annotated[str, typer.Argument(help="One SQL statement.", metavar="STATEMENT")],
    params: Annotated[
        list[str] | None,
        typer.Argument(help="Values of its ?; JSON where they are, else text.", metavar="VALUE"),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Run SQL in the axon's own database.

    Its table rl_axon_events holds the events of the axon.
    """
    with client_of(context) as client:
        result = client.axons.sql.query(axon, statement, [_value(text) for text in params or []])
    if form is Format.JSON:
        output.as_json(result)
        return
    if result.columns:
        rows = [[_shown(value) for value in row] for row in result.rows]
        output.grid([column.name for column in result.columns], rows)
    if result.meta.rows_read_limit_reached:
        output.note("There are more rows; narrow the statement with WHERE or LIMIT.")
    if result.meta.changes:
        output.note(f"{result.meta.changes} rows changed.")


def verify(
    context: typer.Context,
    axon: AxonArgument,
    idle: Annotated[
        bool, typer.Option("--idle", help="Nothing works on it now: open turns are findings too.")
    ] = False,
    form: FormatOption = Format.TEXT,
) -> None:
    """Check what Ranvier promises on an axon.

    It reads the whole axon; findings go to stdout, and the exit code is 5 if there are any.
    """
    checker = Checker()
    with client_of(context) as client:
        for event in client.axons.history(axon):
            checker.feed(event)
    findings = checker.finish(is_idle=idle)
    for finding in findings[:FINDINGS_SHOWN]:
        if form is Format.JSON:
            output.as_json(
                {
                    "sequence": finding.sequence,
                    "problem": finding.problem,
                    "message": finding.message,
                }
            )
        else:
            output.say(f"{finding.problem:<12}  {output.printable(finding.message)}")
    if len(findings) > FINDINGS_SHOWN:
        output.note(f"… and {len(findings) - FINDINGS_SHOWN} more.")
    open_turns = f", {len(checker.open_turns)} still open" if checker.open_turns else ""
    read = f"{checker.event_count} events, {checker.turn_count} turns{open_turns}"
    output.note(f"{read}: {len(findings) or 'no'} broken promises.")
    if findings:
        raise typer.Exit(EXIT_BROKEN)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise typer.BadParameter(f"{text!r} is not KEY=VALUE.")
    return key, value


def _stdin() -> str:
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError:
        raise RanvierError("What stdin holds is no UTF-8 text.", "Encode it (base64).") from None


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _shown(value: Any) -> str:
    return "NULL" if value is None else output.printable(str(value))
