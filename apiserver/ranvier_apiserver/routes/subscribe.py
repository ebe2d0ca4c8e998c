"""GET /v1/axons/{id}/subscribe/sse: an axon's events as they come, from any sequence on.

A plain ASGI endpoint: it lives for hours, so it must end by itself when the reader goes away, the
axon is deleted or the server stops.
"""

import logging

from starlette.datastructures import QueryParams
from starlette.types import Receive, Scope, Send

from ranvier_apiserver import auth, following, instant, problems
from ranvier_apiserver.errors import Forbidden, RanvierError
from ranvier_apiserver.identities import Broker
from ranvier_apiserver.routes import queries
from ranvier_apiserver.routes.context import Context
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.streaming import EventStream, send_pauses

log = logging.getLogger(__name__)


@described(Operation(parameters=(queries.AFTER, *queries.FILTER), media_type="text/event-stream"))
class Subscribe:
    """Follow an axon: its events as server-sent events, from any sequence on, without an end"""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._pauses = send_pauses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        params = QueryParams(scope["query_string"])
        axon_id = scope["path_params"]["axon_id"]
        try:
            await self._allow(scope, axon_id)
            after = queries.sequence(params, "after_sequence") or 0
            only = queries.event_filter(params)
            # Unknown and deleted axons are refused before the stream begins.
            await self._context.store.read_after(axon_id, after, 1)
        except RanvierError as error:
            await problems.answer(error)(scope, receive, send)
            return

        async def follow(emit: following.Emit) -> None:
            store, tails, write = self._context.store, self._context.tails, instant.of(scope)
            await following.stream(store, tails, axon_id, after, only, emit, write)

        def stalled() -> None:
            self._stalled(scope, axon_id)

        await EventStream(follow, stalled, self._pauses)(scope, receive, send)

    def _stalled(self, scope: Scope, axon_id: str) -> None:
        """What the reader has seen it knows itself, and can subscribe again after that."""
        self._context.tails.dropped += 1
        client = scope.get("client")
        log.info(
            "a subscriber took nothing and was dropped",
            extra={"axon_id": axon_id, "client": client[0] if client else None},
        )

    async def _allow(self, scope: Scope, axon_id: str) -> None:
        """API keys may read every axon, brokers those of their own mounts."""
        caller = await self._context.authenticator.principal(scope)
        if not isinstance(caller, Broker):
            auth.require(caller, auth.Scope.AXONS_READ)
        elif axon_id not in await self._context.store.mounted_axons(caller.devbox_uid):
            raise Forbidden(f"Axon {axon_id!r} is not mounted by this broker's devbox.")
