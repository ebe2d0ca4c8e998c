"""Runs a request's statements and writes down what they answer. In a worker."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw

from ranvier_apiserver.axon_sql import policy, values
from ranvier_apiserver.axon_sql.database import Database
from ranvier_apiserver.axon_sql.limits import Limits
from ranvier_apiserver.axon_sql.wire import Outcome, Statement

NOT_RUN: Final = "Not run: statement {} failed, and the whole batch was rolled back."


class Failure(Exception):
    """A request that ends without an answer of its own; the text goes to the client."""

    def __init__(self, outcome: Outcome, text: str) -> None:
        super().__init__(text)
        self.outcome = outcome


@dataclass(slots=True)
class Budget:
    """What is left of a request's answer. `clock` in seconds, for durations only."""

    limits: Limits
    clock: Callable[[], float]
    bytes_used: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """One statement's answer as JSON text. `wrote`: SQLite says that it may change the database."""

    text: str
    wrote: bool


class _Trace:
    """Looks at each statement between its compilation and its first step."""

    def __init__(self, may_write: bool, look_only: bool = False) -> None:
        self._may_write = may_write
        self._look_only = look_only
        self.statements = 0
        self.is_readonly = True
        self.columns: tuple[tuple[str, str | None], ...] = ()

    def __call__(self, cursor: apsw.Cursor, _: str, __: Any) -> bool:
        if not cursor.has_vdbe:
            return True  # a comment, or nothing at all
        self.statements += 1
        if self.statements > 1:
            raise Failure(
                Outcome.SQL_ERROR,
                "More than one statement. Send them as a batch, one statement each.",
            )
        self.is_readonly = cursor.is_readonly
        if not (self.is_readonly or self._may_write):
            raise Failure(Outcome.FORBIDDEN, "This API key may read this database, not change it.")
        self.columns = cursor.get_description()
        return not self._look_only


def is_readonly(database: Database, statement: Statement) -> bool:
    """Whether it only reads: it is compiled, and not run."""
    trace = _Trace(may_write=True, look_only=True)
    bound = _parameters(statement)
    database.look_again()
    database.forget()
    cursor = database.connection.cursor()
    cursor.exec_trace = trace
    try:
        cursor.execute(statement.sql, bound, can_cache=False)
    except apsw.ExecTraceAbort:
        pass
    except (apsw.Error, ValueError) as error:
        raise explained(database, error) from error
    finally:
        cursor.close(True)
    return trace.is_readonly


def run(database: Database, statement: Statement, may_write: bool, budget: Budget) -> Result:
    """One statement, within the transaction that is open. Raises Failure."""
    began = budget.clock()
    connection = database.connection
    bound = _parameters(statement)
    trace = _Trace(may_write)
    database.forget()
    before = connection.total_changes()
    cursor = connection.cursor()
    cursor.exec_trace = trace
    try:
        cursor.execute(statement.sql, bound, can_cache=False)
        rows, is_cut = _rows(cursor, trace, budget)
    except (apsw.Error, ValueError, OverflowError) as error:
        raise explained(database, error) from error
    finally:
        cursor.close(True)
    if not trace.statements:
        raise Failure(Outcome.SQL_ERROR, "There is no statement in `sql`.")
    changed = connection.total_changes() != before and not database.changes_schema
    changes = connection.changes() if changed and not trace.is_readonly else 0
    columns = [{"name": name, "type": kind or ""} for name, kind in trace.columns]
    meta = {
        "changes": changes,
        "duration_ms": round((budget.clock() - began) * 1000, 3),
        "rows_read_limit_reached": is_cut,
    }
    text = (
        f'{{"columns":{json.dumps(columns)},"rows":[{",".join(rows)}],"meta":{json.dumps(meta)}}}'
    )
    return Result(text, not trace.is_readonly)


def check_names(database: Database) -> None:
    """ALTER TABLE … RENAME does not tell the policy its new name; so look before the commit."""
    with database.ours():
        found = database.connection.execute(
            "SELECT name FROM sqlite_schema WHERE lower(substr(name, 1, 3)) = ? AND name <> ?",
            (policy.RESERVED_PREFIX, policy.ANSWERS_TABLE),
        ).fetchall()
    if found:
        raise Failure(
            Outcome.SQL_ERROR,
            f"Names that begin with {policy.RESERVED_PREFIX!r} are the server's; choose another "
            f"than {found[0][0]!r}.",
        )


def explained(database: Database, error: Exception) -> Exception:
    """What SQLite said, with the next step; what is no fault of the SQL stays as it is."""
    said = str(error).removesuffix(".")
    match error:
        case apsw.AuthError() if database.reason is not None:
            return Failure(Outcome.SQL_ERROR, f"Not allowed: {database.reason}")
        case apsw.BusyError() | apsw.LockedError():
            return Failure(
                Outcome.BUSY, "Another request is writing to this axon's database; try again."
            )
        case apsw.FullError():
            return Failure(
                Outcome.SQL_ERROR,
                f"SQLite: {said}. The axon's database has reached its size limit, or the disk is "
                "full; delete rows or drop tables.",
            )
        case apsw.TooBigError():
            return Failure(
                Outcome.SQL_ERROR,
                f"SQLite: {said}. Use smaller values; docs/sql.md has the limits.",
            )
        case apsw.InterruptError() | apsw.NoMemError() | apsw.CorruptError() | apsw.NotADBError():
            return error
        case apsw.IOError() | apsw.CantOpenError() | apsw.ReadOnlyError() | apsw.InternalError():
            return error
        case UnicodeDecodeError():
            return Failure(
                Outcome.SQL_ERROR,
                "A text in the result is not UTF-8. Select CAST(… AS BLOB) or hex(…) of it.",
            )
    return Failure(Outcome.SQL_ERROR, f"SQLite: {said}. Nothing was changed; correct the SQL.")


def _parameters(statement: Statement) -> list[values.SqlValue]:
    bound = []
    for number, value in enumerate(statement.params):
        try:
            bound.append(values.parameter(value))
        except values.NotAValue as error:
            raise Failure(Outcome.SQL_ERROR, f"params[{number}]: {error}.") from error
    return bound


def _rows(cursor: apsw.Cursor, trace: _Trace, budget: Budget) -> tuple[list[str], bool]:
    """Rows as JSON, as many as there may be; a statement that writes still runs to its end."""
    rows: list[str] = []
    is_cut = False
    for row in cursor:
        if is_cut:
            continue
        text = values.row_json(row)
        size = len(text.encode())
        if budget.bytes_used + size > budget.limits.result_bytes and not rows:
            raise Failure(
                Outcome.SQL_ERROR,
                f"The answer would be larger than {budget.limits.result_bytes} bytes. Select fewer "
                "rows or columns, or substr() of a long text.",
            )
        if (
            len(rows) == budget.limits.result_rows
            or budget.bytes_used + size > budget.limits.result_bytes
        ):
            is_cut = True
            if trace.is_readonly:
                break
            continue
        rows.append(text)
        budget.bytes_used += size
    return rows, is_cut
