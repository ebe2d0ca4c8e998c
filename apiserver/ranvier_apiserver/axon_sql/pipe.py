"""The worker's end of its pipes: frames from the server on stdin, frames to it on stdout."""

import json
import os
import select
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from ranvier_apiserver.axon_sql import limits, wire
from ranvier_apiserver.axon_sql.event_reads import Events, Row, Wanted
from ranvier_apiserver.axon_sql.journal_events import JournalEvents
from ranvier_apiserver.axon_sql.running import Failure
from ranvier_apiserver.axon_sql.wire import Ask, Outcome, Reply

Asking = Callable[[Ask, bytes], bytes]
"""Asks the server amid a job. Raises Failure, which ends the job, when it can not be had."""


class Desk(Protocol):
    """What a worker needs of the world beside its files."""

    events: Events
    is_shared: bool
    """Whether others may have changed the database since, so that no file is kept open."""

    def ready(self, to_write: bool) -> None:
        """Before the database is opened: its file is the newest from here on."""
        ...

    def keep(self) -> None:
        """After a commit: it is durable when this returns."""
        ...


class OwnDesk:
    """Beside a journal in a file: the databases' files are the databases."""

    is_shared = False

    def __init__(self, journal: Path) -> None:
        self.events: Events = JournalEvents(journal)

    def ready(self, to_write: bool) -> None:
        pass

    def keep(self) -> None:
        pass


class SharedDesk:
    """Where the databases' pages are kept by a server: all comes from there by way of the pipe."""

    is_shared = True

    def __init__(self, ask: Asking) -> None:
        self._ask = ask
        self.events: Events = AskedEvents(ask)

    def ready(self, to_write: bool) -> None:
        self._ask(Ask.READY, bytes([to_write]))

    def keep(self) -> None:
        self._ask(Ask.KEEP, b"")


class AskedEvents:
    """Implements `Events`. The server knows which axon the job is about and tells of no other."""

    def __init__(self, ask: Asking) -> None:
        self._ask = ask

    def head(self, _: int) -> int:
        return int(json.loads(self._ask(Ask.HEAD, b"")))

    def page(self, _: str, __: int, wanted: Wanted, rows: int) -> tuple[list[Row], Wanted | None]:
        return wire.page_from(self._ask(Ask.PAGE, wire.page_asked(wanted, rows)))


def ask(what: Ask, body: bytes) -> bytes:
    """Implements `Asking`. A server that went away takes the worker with it."""
    write(wire.ask_frame(what, body))
    answer = next_frame()
    if answer is None:
        raise SystemExit(0)
    return told(wire.reply_from(answer))


def told(reply: Reply) -> bytes:
    """What the server told, or the Failure that it means for the job."""
    if reply.outcome is not Outcome.DONE:
        raise Failure(reply.outcome, reply.text)
    return reply.body


def next_frame(idle: Callable[[], None] = lambda: None) -> bytes | None:
    """The next frame's bytes; None when the server is gone. `idle` is called now and then."""
    while not select.select([0], [], [], limits.IDLE_SECONDS_MAX)[0]:
        idle()
    head = _read(wire.LENGTH_BYTES)
    return None if head is None else _read(wire.length_of(head))


def write(frame: bytes) -> None:
    view = memoryview(frame)
    while view:
        view = view[os.write(1, view) :]


def _read(count: int) -> bytes | None:
    parts: list[bytes] = []
    while count:
        part = os.read(0, count)
        if not part:
            return None
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
