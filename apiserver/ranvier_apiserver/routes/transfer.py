"""GET /v1/axons/{id}/export and POST /v1/axons/{id}/import: whole axons as JSON lines."""

from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import StreamingResponse

from ranvier_apiserver import audit, auth, transfer
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.routes import queries, wire
from ranvier_apiserver.routes.context import Caller, TheStore, context_of
from ranvier_apiserver.routes.described import Operation, Refusal, described

JSON_LINES: Final = "application/x-ndjson"

router = APIRouter(prefix="/v1/axons")


@router.get("/{axon_id}/export")
@described(
    Operation([wire.AxonEventView], parameters=(queries.AFTER,), media_type=JSON_LINES),
)
async def export(
    request: Request, axon_id: str, caller: Caller, store: TheStore
) -> StreamingResponse:
    """Export an axon: its events as JSON lines, oldest first"""
    auth.require(caller, Scope.AXONS_READ)
    after = queries.sequence(request.query_params, "after_sequence") or 0
    lines = transfer.export(store, axon_id, after)
    # Unknown and deleted axons are refused before the answer begins.
    first = await anext(lines)
    return StreamingResponse(_all(first, lines), media_type=JSON_LINES)


@router.post("/{axon_id}/import")
@described(
    Operation(
        [wire.ImportView],
        [transfer.EventLine],
        body_media_type=JSON_LINES,
        refusals={412: Refusal("Somebody published meanwhile")},
    )
)
async def import_(
    request: Request, axon_id: str, caller: Caller, store: TheStore
) -> dict[str, Any]:
    """Import the JSON lines of an export, in order, with their origins and timestamps"""
    auth.require(caller, Scope.AXONS_WRITE)
    auth.require(caller, Scope.AXONS_IMPORT)
    lines = transfer.split(context_of(request).intake.parts(request.receive))
    done = await transfer.Import(store, axon_id).run(lines)
    audit.note(request.scope, sequence=done.head, events=done.imported)
    return {"imported": done.imported, "skipped": done.skipped, "head": done.head}


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk
