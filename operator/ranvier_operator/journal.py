"""The journal as the operator uses it: the internal API of Ranvier's API server, over HTTP.

Models are the SDK's (`ranvier.internal`). Two kinds of failure matter: no answer, then everything
stays as it is and is tried again, and a refusal, which a person reads in a condition. After a
failed connection further calls fail at once for a moment, so that a thousand devboxes do not each
wait for the same dead server.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from ranvier.internal import (
    AxonBinding,
    AxonBindings,
    AxonBindingView,
    DevboxBinding,
    DevboxFailure,
    DevboxView,
    DevboxViews,
    ErrorBody,
    SleepAnswer,
    SleepRequest,
)

from ranvier_operator.clock import Clock
from ranvier_operator.errors import JournalRefused, JournalUnreachable

M = TypeVar("M", bound=BaseModel)

ANSWER_SECONDS_MAX: Final = 5.0
"""Longest wait for an answer; a sleep grant waits for a commit to disk."""
CONNECT_SECONDS_MAX: Final = 1.0
DOWN_SECONDS: Final = 0.5
"""After a failed connection calls fail at once for this long."""
CONNECTIONS_MAX: Final = 32

_NOT_NOW: Final = frozenset({401, 403, 408, 425, 429, 500, 502, 503, 504})
"""Answers that may change by themselves; 401 and 403 while a token or its review is late."""
DAMAGED: Final = "journal_damaged"
"""The code of the one 500 that will not change by itself (J7)."""


class Journal(Protocol):
    """What the operator asks of the journal. All raise JournalUnreachable or JournalRefused."""

    async def bind_axon(self, uid: str, binding: AxonBinding) -> AxonBindingView: ...

    async def axons(self) -> Sequence[AxonBindingView]: ...

    async def forget_axon(self, uid: str) -> None: ...

    async def bind_devbox(self, uid: str, binding: DevboxBinding) -> DevboxView: ...

    async def devboxes(self) -> Sequence[DevboxView]: ...

    async def forget_devbox(self, uid: str) -> None: ...

    async def sleep(self, uid: str, request: SleepRequest) -> SleepAnswer: ...

    async def tell_failure(self, uid: str, failure: DevboxFailure) -> None:
        """Append it to the devbox's axons; the same failure again appends nothing."""
        ...


class HttpJournal:
    """The real one."""

    def __init__(
        self,
        *,
        api_url: str,
        token_file: str,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._http = httpx.AsyncClient(
            transport=transport,
            base_url=api_url + "/internal/v1",
            timeout=httpx.Timeout(ANSWER_SECONDS_MAX, connect=CONNECT_SECONDS_MAX),
            limits=httpx.Limits(max_connections=CONNECTIONS_MAX),
            trust_env=False,
        )
        self._token_file = Path(token_file)
        self._clock = clock
        self._down_until = 0.0

    async def bind_axon(self, uid: str, binding: AxonBinding) -> AxonBindingView:
        return await self._call("PUT", f"/axons/{uid}", AxonBindingView, binding)

    async def axons(self) -> Sequence[AxonBindingView]:
        return (await self._call("GET", "/axons", AxonBindings)).axons

    async def forget_axon(self, uid: str) -> None:
        await self._forget(f"/axons/{uid}")

    async def bind_devbox(self, uid: str, binding: DevboxBinding) -> DevboxView:
        return await self._call("PUT", f"/devboxes/{uid}", DevboxView, binding)

    async def devboxes(self) -> Sequence[DevboxView]:
        return (await self._call("GET", "/devboxes", DevboxViews)).devboxes

    async def forget_devbox(self, uid: str) -> None:
        await self._forget(f"/devboxes/{uid}")

    async def sleep(self, uid: str, request: SleepRequest) -> SleepAnswer:
        return await self._call("POST", f"/devboxes/{uid}/sleep", SleepAnswer, request)

    async def tell_failure(self, uid: str, failure: DevboxFailure) -> None:
        await self._send("POST", f"/devboxes/{uid}/failures", failure)

    async def close(self) -> None:
        await self._http.aclose()

    # --- inside

    async def _forget(self, path: str) -> None:
        try:
            await self._send("DELETE", path)
        except JournalRefused as error:
            if error.status != httpx.codes.NOT_FOUND:
                raise

    async def _call(
        self, method: str, path: str, model: type[M], body: BaseModel | None = None
    ) -> M:
        response = await self._send(method, path, body)
        try:
            return model.model_validate_json(response.content)
        except ValidationError as error:
            raise JournalUnreachable(f"{method} {path}: answer not understood: {error}") from error

    async def _send(self, method: str, path: str, body: BaseModel | None = None) -> httpx.Response:
        if self._clock.monotonic() < self._down_until:
            raise JournalUnreachable("the API server did not answer a moment ago")
        content = body.model_dump_json().encode() if body is not None else None
        try:
            response = await self._http.request(
                method, path, content=content, headers=self._headers()
            )
        except httpx.TransportError as error:
            self._down_until = self._clock.monotonic() + DOWN_SECONDS
            why = str(error) or type(error).__name__
            raise JournalUnreachable(f"{method} {path}: {why}") from error
        if response.is_success:
            return response
        raise _refusal(method, path, response)

    def _headers(self) -> dict[str, str]:
        """The token is read for each call: the kubelet replaces the file before it runs out."""
        headers = {"content-type": "application/json"}
        try:
            token = self._token_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise JournalUnreachable(f"token file {self._token_file}: {error}") from error
        headers["authorization"] = f"Bearer {token}"
        return headers


def _refusal(
    method: str, path: str, response: httpx.Response
) -> JournalRefused | JournalUnreachable:
    try:
        body = ErrorBody.model_validate_json(response.content)
    except ValidationError:
        body = ErrorBody(code="unknown", message=response.text[:200])
    message = f"{method} {path} was answered with {response.status_code}: {body.message}"
    if response.status_code in _NOT_NOW and body.code != DAMAGED:
        return JournalUnreachable(message)
    return JournalRefused(message, status=response.status_code, code=body.code)
