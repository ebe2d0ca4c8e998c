"""What the calls answer, typed. Fields that a newer server adds are ignored, not refused.

Field names and units are the wire's (Runloop's): `*_ms` are milliseconds since the epoch.
"""

from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict

from ranvier.events import AxonEvent

Item = TypeVar("Item")


class Answer(BaseModel):
    """Base of all answers: immutable, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Page(Answer, Generic[Item]):
    """A part of a list. `total_count` is the whole list's, None when it was not asked for."""

    items: list[Item]
    has_more: bool = False
    total_count: int | None = None


class Axon(Answer):
    """An axon. A deleted one stays readable for its name and dates; its events are gone."""

    id: str
    created_at_ms: int
    name: str | None = None
    metadata: dict[str, str] = {}
    deleted_at_ms: int | None = None


class Published(Answer):
    """Where an event stands: it is on disk, and visible to everyone."""

    sequence: int
    timestamp_ms: int


class Column(Answer):
    """A column of a SQL result; `type` is empty for an expression."""

    name: str
    type: str = ""


class SqlMeta(Answer):
    """What a statement did. `changes` are rows; `rows_read_limit_reached`: the result was cut."""

    changes: int = 0
    duration_ms: float = 0.0
    rows_read_limit_reached: bool = False


class SqlResult(Answer):
    """A statement's result; each row is a list in the order of the columns."""

    columns: list[Column] = []
    rows: list[list[Any]] = []
    meta: SqlMeta = SqlMeta()

    def records(self) -> list[dict[str, Any]]:
        """The rows as mappings from column name to value."""
        names = [column.name for column in self.columns]
        return [dict(zip(names, row, strict=True)) for row in self.rows]


class SqlError(Answer):
    """Why a statement of a batch failed."""

    message: str = ""


class SqlOutcome(Answer):
    """One statement of a batch: it has a result or an error. One error undoes the whole batch."""

    success: SqlResult | None = None
    error: SqlError | None = None


class SqlBatch(Answer):
    """One outcome a statement, in their order."""

    results: list[SqlOutcome]


class Transition(Answer):
    """When a devbox came to a status."""

    status: str
    transition_time_ms: int | None = None


class Standing(Answer):
    """Why a devbox is as it is, in Ranvier's words, and the resource that it is."""

    namespace: str
    name: str
    reason: str | None = None
    message: str | None = None


class Devbox(Answer):
    """A devbox. `status` is one of provisioning, initializing, running, suspending, suspended,
    resuming, failure, shutdown; newer servers may know more."""

    id: str
    status: str
    create_time_ms: int
    name: str | None = None
    metadata: dict[str, str] = {}
    end_time_ms: int | None = None
    blueprint_id: str | None = None
    failure_reason: str | None = None
    shutdown_reason: str | None = None
    state_transitions: list[Transition] = []
    launch_parameters: dict[str, Any] = {}
    ranvier: Standing | None = None

    @property
    def reason(self) -> str | None:
        """One word that says why the status is what it is."""
        standing = self.ranvier.reason if self.ranvier is not None else None
        return standing or self.failure_reason or self.shutdown_reason


class Execution(Answer):
    """A command in a devbox. `status` is running or completed; only then there is an
    `exit_status`. `stdout` and `stderr` are last lines, `*_truncated`: there is more than these."""

    devbox_id: str
    execution_id: str
    status: str
    exit_status: int | None = None
    stdout: str | None = None
    stderr: str | None = None
    stdout_truncated: bool | None = None
    stderr_truncated: bool | None = None

    @property
    def is_completed(self) -> bool:
        """Whether the command has ended."""
        return self.status == "completed"


class LogEntry(Answer):
    """One entry of a devbox's log: a command's start (`cmd`), a line of its output (`message`), or
    its end (`exit_code`). `cmd_id` is the execution's id."""

    level: str
    source: str
    timestamp_ms: int
    cmd: str | None = None
    cmd_id: str | None = None
    exit_code: int | None = None
    message: str | None = None


class Nothing(Answer):
    """The answer `{}`: it was done, there is no more to say."""


EventPage = Page[AxonEvent]
"""Events, newest first; `total_count` is the axon's head (J1)."""
