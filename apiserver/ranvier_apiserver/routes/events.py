"""GET /v1/axons/{id}/events: Runloop's, newest first; and ours, oldest first, which may wait."""

from typing import Any

from fastapi import APIRouter, Request
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse, Response

from ranvier_apiserver import auth, following, frames, history
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.errors import BadInput, InvalidField, RanvierError
from ranvier_apiserver.journal.store import Page
from ranvier_apiserver.routes import queries, wire
from ranvier_apiserver.routes.context import Caller, Context, context_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.presence import until_gone

router = APIRouter(prefix="/v1/axons")


@router.get("/{axon_id}/events")
@described(Operation([wire.AxonEventListView], parameters=queries.EVENTS))
async def events(request: Request, axon_id: str, caller: Caller) -> Response:
    """Read events, newest first; with `after_sequence` oldest first after it"""
    auth.require(caller, Scope.AXONS_READ)
    context, params = context_of(request), request.query_params
    answer: dict[str, Any] | RanvierError = {}

    async def work() -> None:
        nonlocal answer
        try:
            read = _forward if params.get("after_sequence") else _backward
            answer = await read(context, axon_id, params)
        except RanvierError as error:
            answer = error

    if not await until_gone(request.receive, work):
        answer = BadInput("The client went away before its answer was there.")
    if isinstance(answer, RanvierError):
        raise answer
    return JSONResponse(answer)


async def _backward(context: Context, axon_id: str, params: QueryParams) -> dict[str, Any]:
    if params.get("wait"):
        raise InvalidField("wait: needs after_sequence, the last sequence that you have seen.")
    before = queries.sequence(params, "starting_after")
    only = queries.event_filter(params)
    found = await history.newest_first(context.store, axon_id, before, queries.limit(params), only)
    answer: dict[str, Any] = {
        "events": [frames.view(event) for event in found.events],
        "has_more": found.has_more,
    }
    if queries.with_total(params):
        answer["total_count"] = found.head
    return answer


async def _forward(context: Context, axon_id: str, params: QueryParams) -> dict[str, Any]:
    """`cursor` is where to go on; it moves past events that the filter left out."""
    if params.get("starting_after"):
        raise InvalidField("starting_after: goes with newest first; leave after_sequence out.")
    page = await _page(context, axon_id, params)
    answer: dict[str, Any] = {
        "events": [frames.view(event) for event in page.events],
        "has_more": not page.at_end,
        "cursor": page.cursor,
    }
    if queries.with_total(params):
        answer["total_count"] = page.head
    return answer


async def _page(context: Context, axon_id: str, params: QueryParams) -> Page:
    return await following.wait_for_page(
        context.store,
        context.tails,
        axon_id,
        queries.sequence(params, "after_sequence") or 0,
        queries.limit(params),
        queries.event_filter(params),
        queries.wait_seconds(params),
    )
