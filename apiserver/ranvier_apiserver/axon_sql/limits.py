"""What a request, a database and the whole engine may take. Pure; docs/sql.md has the table."""

from dataclasses import dataclass
from typing import Final

REQUEST_SECONDS_MAX: Final = 10.0
"""Time of a query, or of a whole batch. Reading an axon of 1 M events takes 2 to 4 seconds."""

KILL_GRACE_SECONDS: Final = 2.0
"""SQLite notices the end of the time between two steps. A step that is itself endless (a LIKE of
many wildcards over a long text) ends with its process, this much later."""

HEAP_BYTES_MAX: Final = 48 * 1024**2
"""Memory of SQLite in one worker: sorting, grouping, building values."""

ADDRESS_BYTES_MAX: Final = 512 * 1024**2
"""Address space of a worker: what stops it should anything else grow."""

FILE_BYTES_MAX: Final = 1024**3
"""Size of one axon's database."""

KEPT_BYTES_MAX: Final = 64 * 1024**2
"""The same where databases are kept on PostgreSQL: a replica that meets one brings all of it."""

COPIES_BYTES_MAX: Final = 1024**3
"""Copies of such databases in the temporary folder of one replica; the one that was not used for
longest goes first."""

RESULT_ROWS_MAX: Final = 10_000
"""Rows of one result; `meta.rows_read_limit_reached` tells that there were more."""

RESULT_BYTES_MAX: Final = 12 * 1024**2
"""Rows of one answer as JSON, all results of a batch together."""

STATEMENTS_MAX: Final = 1000
"""Statements of one batch."""

PARAMETERS_MAX: Final = 10_000
"""Values bound to one statement."""

SQL_BYTES_MAX: Final = 256 * 1024
"""Text of one statement."""

BODY_BYTES_MAX: Final = 8 * 1024**2
"""Body of one request."""

VALUE_BYTES_MAX: Final = 8 * 1024**2
"""One text, blob or row; an event's payload (4 MiB) fits."""

COLUMNS_MAX: Final = 500
EXPRESSION_DEPTH_MAX: Final = 500
COMPOUND_SELECTS_MAX: Final = 100
PROGRAM_STEPS_MAX: Final = 250_000
FUNCTION_ARGUMENTS_MAX: Final = 100
PATTERN_BYTES_MAX: Final = 1024
TRIGGER_DEPTH_MAX: Final = 32
"""SQLite's own limits on one statement; its errors name them."""

WORKERS_MAX: Final = 4
"""Processes that run SQL; each holds about 12 MiB, and ends when nobody needs it."""

AXON_WORKERS_MAX: Final = 2
"""Requests of one axon that run at once, so that no axon takes all workers."""

KEPT_AXON_WORKERS_MAX: Final = 1
"""The same per replica where databases are kept on PostgreSQL: there is one copy to work on."""

AXON_WAITING_MAX: Final = 16
"""Requests of one axon that wait for their turn; more are answered 429."""

WAITING_MAX: Final = 256
"""Requests of all axons that wait for their turn; more are answered 429."""

WAIT_SECONDS_MAX: Final = 10.0
"""How long one waits, for a worker or for another writer of the same database, before 429."""

OPEN_FILES_MAX: Final = 8
"""Databases that one worker keeps open."""

IDLE_SECONDS_MAX: Final = 30.0
"""A database that nobody used for so long is closed, and so is a worker."""

ANSWERS_KEPT_MAX: Final = 10_000
"""First answers that one database keeps for retries (J4) …"""

ANSWER_BYTES_KEPT_MAX: Final = 16 * 1024**2
"""… in so many bytes, the newest always …"""

ANSWERS_KEPT_MS: Final = 24 * 3600 * 1000
"""… and for so long."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that a worker is started with; tests shrink them."""

    seconds: float = REQUEST_SECONDS_MAX
    kill_grace_seconds: float = KILL_GRACE_SECONDS
    heap_bytes: int = HEAP_BYTES_MAX
    file_bytes: int = FILE_BYTES_MAX
    result_rows: int = RESULT_ROWS_MAX
    result_bytes: int = RESULT_BYTES_MAX
    answers_kept: int = ANSWERS_KEPT_MAX
    answer_bytes_kept: int = ANSWER_BYTES_KEPT_MAX
