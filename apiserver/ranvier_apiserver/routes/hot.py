"""What the hot routes that write share: two ways in, one way to answer."""

import asyncio
import logging
from abc import ABC, abstractmethod
from typing import ClassVar, Generic, TypeVar

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ranvier_apiserver import problems
from ranvier_apiserver.auth import Principal
from ranvier_apiserver.errors import RanvierError
from ranvier_apiserver.hot_path import Headers, Reply
from ranvier_apiserver.routes.context import Context

log = logging.getLogger(__name__)

Allowed = TypeVar("Allowed", bound=Principal)


class HotRoute(ABC, Generic[Allowed]):
    """A plain ASGI endpoint that also implements `HotPath`, for callers that are known."""

    body_bytes_max: ClassVar[int]

    def __init__(self, context: Context) -> None:
        self._context = context

    @abstractmethod
    def allow(self, scope: Scope, caller: Principal) -> Allowed:
        """The caller as one who may call it, or raises. Asked before its body is read."""

    @abstractmethod
    def begin(self, scope: Scope, caller: Allowed, body: bytes, reply: Reply) -> None:
        """Sees to the request: replies later, or raises and never replies."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()

        def reply(status: int, body: bytes, headers: Headers) -> None:
            if not answer.done():
                raw = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
                answer.set_result(Response(body, status, raw))

        try:
            caller = self.allow(scope, await self._context.authenticator.principal(scope))
            body = await self._context.intake.read(scope, receive, self.body_bytes_max)
            self.begin(scope, caller, body, reply)
        except Exception as error:
            refuse(reply, error)
        await (await answer)(scope, receive, send)

    def take(self, scope: Scope, body: bytes, reply: Reply) -> bool:
        """Implements `HotPath`. Never raises: the server would take that for a broken request."""
        try:
            if (caller := self._context.authenticator.known(scope)) is None:
                return False
            self.begin(scope, self.allow(scope, caller), body, reply)
        except Exception as error:
            refuse(reply, error)
        return True


def refuse(reply: Reply, error: Exception) -> None:
    if not isinstance(error, RanvierError):
        log.error("a request failed", exc_info=error)
    refusal = problems.answer(error)
    headers = [pair for pair in refusal.raw_headers if pair[0] != b"content-length"]
    reply(refusal.status_code, bytes(refusal.body), headers)
