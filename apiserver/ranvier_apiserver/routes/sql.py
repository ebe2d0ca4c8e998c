"""POST /v1/axons/{id}/sql/query and /sql/batch, as the published clients send and expect them."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from ranvier_apiserver import auth
from ranvier_apiserver.auth import ApiKey, Scope
from ranvier_apiserver.axon_sql import limits
from ranvier_apiserver.axon_sql.wire import Statement
from ranvier_apiserver.routes.context import Caller, body_of, context_of, once_of
from ranvier_apiserver.routes.described import Operation, Refusal, described
from ranvier_apiserver.routes.sql_wire import SqlBatchView, SqlResultView

router = APIRouter(prefix="/v1/axons")

REFUSALS: Final = {
    400: Refusal("SQLite refused the SQL, or it took too much time or memory"),
    429: Refusal("Too many requests wait, or another one is writing; send it again"),
}


class SqlStatement(BaseModel):
    """`params` bind to `?` in their order; `axon_sql/values.py` says which values there are."""

    model_config = ConfigDict(extra="ignore")

    sql: Annotated[str, Field(min_length=1, max_length=limits.SQL_BYTES_MAX)]
    params: Annotated[list[Any], Field(max_length=limits.PARAMETERS_MAX)] | None = None

    def statement(self) -> Statement:
        return Statement(self.sql, self.params or ())


class SqlBatch(BaseModel):
    model_config = ConfigDict(extra="ignore")

    statements: Annotated[list[SqlStatement], Field(max_length=limits.STATEMENTS_MAX)]


@router.post("/{axon_id}/sql/query")
@described(Operation([SqlResultView], refusals=REFUSALS))
async def query(
    request: Request,
    axon_id: str,
    caller: Caller,
    body: Annotated[SqlStatement, Depends(body_of(SqlStatement, limits.BODY_BYTES_MAX))],
) -> Response:
    """Run one statement on the axon's SQL database"""
    key, may_write = _allowed(caller)
    engine = context_of(request).sql
    answer = await engine.query(axon_id, body.statement(), may_write, once_of(request.scope, key))
    return Response(answer, media_type="application/json")


@router.post("/{axon_id}/sql/batch")
@described(Operation([SqlBatchView], refusals=REFUSALS))
async def batch(
    request: Request,
    axon_id: str,
    caller: Caller,
    body: Annotated[SqlBatch, Depends(body_of(SqlBatch, limits.BODY_BYTES_MAX))],
) -> Response:
    """Run several statements in one transaction: all of them, or none"""
    key, may_write = _allowed(caller)
    statements = [statement.statement() for statement in body.statements]
    engine = context_of(request).sql
    answer = await engine.batch(axon_id, statements, may_write, once_of(request.scope, key))
    return Response(answer, media_type="application/json")


def _allowed(caller: Caller) -> tuple[ApiKey, bool]:
    """A key that may read an axon may query its database; changing it takes the other scope."""
    key = auth.require(caller, Scope.AXONS_READ)
    return key, Scope.AXONS_WRITE in key.scopes
