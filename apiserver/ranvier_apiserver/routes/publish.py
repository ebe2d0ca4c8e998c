"""POST /v1/axons/{id}/publish: the hot route, so a plain ASGI endpoint.

It lets pydantic's core read the body's bytes directly, and waits for nothing but the disk.
"""

import logging
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, StringConstraints
from ranvier.events import PAYLOAD_BYTES_MAX, NewEvent, Origin
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ranvier_apiserver import auth, bodies, problems
from ranvier_apiserver.errors import BadInput, PayloadTooLarge, RanvierError
from ranvier_apiserver.routes.context import Context, once_of

WORD_CHARACTERS_MAX: Final = 512
"""`source` and `event_type` are names, not content."""

Word = Annotated[str, StringConstraints(min_length=1, max_length=WORD_CHARACTERS_MAX)]

log = logging.getLogger(__name__)


class PublishBody(BaseModel):
    model_config = ConfigDict(extra="ignore")

    event_type: Word
    origin: Origin
    payload: str
    source: Word


class Publish:
    def __init__(self, context: Context) -> None:
        self._context = context

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(scope, receive)
        except RanvierError as error:
            answer = problems.answer(error)
        except Exception as error:
            log.exception("publish failed")
            answer = problems.answer(error)
        await answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive) -> Response:
        caller = await self._context.authenticator.principal(scope)
        key = auth.require(caller, auth.Scope.AXONS_WRITE)
        event = event_from(await bodies.read(scope, receive, bodies.PUBLISH_BODY_BYTES_MAX))
        axon_id = scope["path_params"]["axon_id"]
        published = await self._context.store.publish(axon_id, event, once_of(scope, key))
        body = b'{"sequence":%d,"timestamp_ms":%d}' % (published.sequence, published.timestamp_ms)
        return Response(body, media_type="application/json")


def event_from(body: bytes) -> NewEvent:
    """The event in a request's body, if clients may publish it."""
    parsed = bodies.parse(PublishBody, body)
    if parsed.origin is Origin.SYSTEM:
        raise BadInput(
            "origin: SYSTEM_EVENT is received, never published. "
            "Use EXTERNAL_EVENT, AGENT_EVENT or USER_EVENT."
        )
    # No UTF-8 text is shorter in bytes than in characters, so most need not be encoded to know.
    if len(parsed.payload) * 4 > PAYLOAD_BYTES_MAX and _byte_count(parsed) > PAYLOAD_BYTES_MAX:
        raise PayloadTooLarge(
            f"payload: larger than {PAYLOAD_BYTES_MAX} bytes. Put the content elsewhere and "
            "publish a reference to it."
        )
    return NewEvent(parsed.origin, parsed.source, parsed.event_type, parsed.payload)


def _byte_count(parsed: PublishBody) -> int:
    return len(parsed.payload.encode())
