"""What commands print: tables for people, JSON for programs, colours for terminals only."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import typer

from ranvier.events import AxonEvent, Origin

if TYPE_CHECKING:
    from pydantic import BaseModel

LINE_WIDTH_MIN: Final = 60

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Format(StrEnum):
    """`json` prints one JSON document a line: one in all, or one for each item of a list."""

    TEXT = "text"
    JSON = "json"


FormatOption = Annotated[
    Format, typer.Option("--output", "-o", help="text for people, json (one a line) for scripts.")
]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print the ids only.")]

_COLOURS: Final = {
    Origin.USER: typer.colors.CYAN,
    Origin.EXTERNAL: typer.colors.MAGENTA,
    Origin.AGENT: typer.colors.GREEN,
    Origin.SYSTEM: typer.colors.YELLOW,
}


class Identified(Protocol):
    """What has an id."""

    @property
    def id(self) -> str: ...


class NobodyReads(Exception):
    """Whoever read the output has gone (`| head`). No OSError: the command line library would make
    a failure of it."""


def say(text: str = "", *, end: str = "\n", to_stderr: bool = False) -> None:
    """Print at once; colours are taken out unless it is a terminal that wants them.

    Raises NobodyReads.
    """
    colour = False if os.environ.get("NO_COLOR") else None
    try:
        typer.echo(text + end, nl=False, err=to_stderr, color=colour)
        (sys.stderr if to_stderr else sys.stdout).flush()
    except BrokenPipeError:
        raise NobodyReads from None


def raw(text: str, *, to_stderr: bool = False) -> None:
    """Print what a user's own command has written, as it is. Raises NobodyReads."""
    stream = sys.stderr if to_stderr else sys.stdout
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        raise NobodyReads from None


def printable(text: str) -> str:
    """The text without what could command a terminal: agents and webhooks may say anything."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def complain(text: str) -> None:
    """An error or a warning, on stderr."""
    say(typer.style("error: ", fg=typer.colors.RED, bold=True) + text, to_stderr=True)


def note(text: str) -> None:
    """A remark that is no result, on stderr."""
    say(typer.style(text, dim=True), to_stderr=True)


def as_json(value: Any) -> None:
    """One value on one line: an event, a model of the client, or what JSON knows."""
    if isinstance(value, AxonEvent):
        value = asdict(value)
    elif hasattr(value, "model_dump"):
        value = value.model_dump(mode="json")
    say(json.dumps(value, ensure_ascii=False))


def one(value: "BaseModel", form: Format) -> None:
    """One thing: its fields below each other, those within others as `outer.inner`."""
    if form is Format.JSON:
        as_json(value)
        return
    fields = dict(_flat(value.model_dump(exclude_none=True)))
    width = max(map(len, fields), default=0)
    for name, field in fields.items():
        say(f"{printable(name):<{width}}  {_cell(name, field)}")


def table(rows: "Sequence[BaseModel]", columns: Sequence[str], form: Format) -> None:
    """Things below each other, some of their fields beside each other."""
    if form is Format.JSON:
        for row in rows:
            as_json(row)
        return
    values = [[_cell(name, getattr(row, name)) for name in columns] for row in rows]
    grid([column.removesuffix("_ms").replace("_", " ") for column in columns], values)


def ids(rows: Iterable[Identified]) -> None:
    """Nothing but the ids, one a line."""
    for row in rows:
        say(row.id)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    for number, row in enumerate([[head.upper() for head in heads], *rows]):
        cells = [f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        say(typer.style(line, bold=True) if number == 0 else line)


def event(item: AxonEvent, form: Format, *, whole: bool = False) -> None:
    """One event on one line; on a terminal the payload is cut to its width unless `whole`."""
    if form is Format.JSON:
        as_json(item)
        return
    clock = datetime.fromtimestamp(item.timestamp_ms / 1000, UTC).astimezone()
    head = f"{item.sequence:>6}  {clock:%H:%M:%S}.{clock.microsecond // 1000:03}  "
    kind = item.origin.removesuffix("_EVENT").lower()
    middle = f"{kind:<8}  {printable(item.event_type):<24}  "
    payload = printable(item.payload.replace("\n", "\\n"))
    if sys.stdout.isatty() and not whole:
        room = max(shutil.get_terminal_size().columns, LINE_WIDTH_MIN) - len(head + middle)
        if len(payload) > room:
            payload = payload[: max(room - 1, 0)] + "…"
    say(head + typer.style(middle, fg=_COLOURS[item.origin]) + payload)


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name.endswith("_ms") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, dict):
        value = ",".join(f"{key}={each}" for key, each in value.items()) or "-"
    elif isinstance(value, list):
        value = json.dumps(value, ensure_ascii=False)
    return printable(str(value))
