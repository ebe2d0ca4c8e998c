"""The answers of the SQL routes as types, for the OpenAPI document; workers write the answers."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SqlColumnView(_Answer):
    name: str
    type: str = Field(description="As declared; empty for an expression")


class SqlMetaView(_Answer):
    changes: int = Field(ge=0, description="Rows inserted, updated or deleted by the statement")
    duration_ms: float
    rows_read_limit_reached: bool = Field(description="There were more rows than are shown")


class SqlResultView(_Answer):
    columns: list[SqlColumnView]
    rows: list[list[Any]] = Field(description="Values in the columns' order; docs/sql.md has them")
    meta: SqlMetaView


class SqlErrorView(_Answer):
    message: str


class SqlStepView(_Answer):
    """`success` or `error`, never both."""

    success: SqlResultView | None = None
    error: SqlErrorView | None = None


class SqlBatchView(_Answer):
    """One result a statement. Where one has `error`, nothing of the batch was kept."""

    results: list[SqlStepView]
