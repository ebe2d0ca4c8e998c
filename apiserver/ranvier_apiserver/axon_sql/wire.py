"""What server and worker say to each other: frames over a pipe. Pure.

A frame is four bytes of length and JSON of that length. An answer's first byte says how it ended,
and the rest is the body for the client or the reason; the server never parses it.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import Any, Final

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


def length_of(head: bytes) -> int:
    length: int = _LENGTH.unpack(head)[0]
    return length


def _frame(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body
