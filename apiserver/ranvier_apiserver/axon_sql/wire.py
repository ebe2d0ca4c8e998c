"""What server and worker say to each other: frames over a pipe. Pure.

A frame is four bytes of length and so many bytes. A job is JSON. A reply's first byte says how the
job ended, and the rest is the body for the client or the reason; the server never parses it. Amid a
job a worker may ask the server for something: then the first byte says for what, and the server's
reply has the same form.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass
from enum import IntEnum
from typing import Any, Final

from ranvier_apiserver.axon_sql.event_reads import Row, Wanted

_LENGTH: Final = struct.Struct("!I")
LENGTH_BYTES: Final = _LENGTH.size


class Outcome(IntEnum):
    """How a request ended; all but DONE changed nothing."""

    DONE = 0
    """The rest is the client's body."""
    SQL_ERROR = 1
    STOPPED = 2
    """Time or memory was used up."""
    FORBIDDEN = 3
    """It writes, and the caller may only read."""
    BUSY = 4
    AXON_DELETED = 5
    JOURNAL_DAMAGED = 6
    FILE_DAMAGED = 7
    NOT_WRITTEN = 8
    """The disk refused."""
    BROKEN = 9
    """A fault of ours; the rest is for the log."""
    UNSURE = 10
    """Alone of all, this may have changed something: nobody answered whether it was kept."""


class Ask(IntEnum):
    """What a worker may ask amid a job, where databases are kept elsewhere (`homes.Visit`)."""

    READY = 128
    """Bring the database's file up to date. Body: 1 to be the only writer until the job ends."""
    KEEP = 129
    """The file's log holds a committed transaction: make that last."""
    HEAD = 130
    """The last sequence of the job's axon. No body; the answer is a JSON number."""
    PAGE = 131
    """Events of the job's axon, of no other: `page_asked` and `page_told`."""


@dataclass(frozen=True, slots=True)
class Statement:
    """`params` are JSON values; `values.py` says what they mean."""

    sql: str
    params: Sequence[Any] = ()


@dataclass(frozen=True, slots=True)
class Job:
    """One request. `number` is the axon's in the journal, `once` the digest of its request id."""

    axon_id: str
    number: int
    is_batch: bool
    statements: Sequence[Statement]
    may_write: bool
    once: str | None
    now_ms: int


@dataclass(frozen=True, slots=True)
class Reply:
    outcome: Outcome
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def job_frame(job: Job) -> bytes:
    return _frame(json.dumps(asdict(job)).encode())


def job_from(body: bytes) -> Job:
    fields = json.loads(body)
    statements = [Statement(**statement) for statement in fields.pop("statements")]
    return Job(statements=statements, **fields)


def reply_frame(reply: Reply) -> bytes:
    return _frame(bytes([reply.outcome]) + reply.body)


def reply_from(body: bytes) -> Reply:
    return Reply(Outcome(body[0]), body[1:])


def ask_frame(ask: Ask, body: bytes) -> bytes:
    return _frame(bytes([ask]) + body)


def ask_from(body: bytes) -> tuple[Ask, bytes] | None:
    """What a worker asks; None when these are the bytes of its reply."""
    return (Ask(body[0]), body[1:]) if body[0] >= Ask.READY else None


def page_asked(wanted: Wanted, rows: int) -> bytes:
    return json.dumps([astuple(wanted), rows]).encode()


def page_wanted(body: bytes) -> tuple[Wanted, int]:
    fields, rows = json.loads(body)
    return Wanted(*fields), rows


def page_told(page: Sequence[Row], left: Wanted | None) -> bytes:
    return json.dumps([page, left and astuple(left)]).encode()


def page_from(body: bytes) -> tuple[list[Row], Wanted | None]:
    page, left = json.loads(body)
    return [tuple(row) for row in page], left and Wanted(*left)


def length_of(head: bytes) -> int:
    length: int = _LENGTH.unpack(head)[0]
    return length


def _frame(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body
