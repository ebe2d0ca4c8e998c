"""The attempts of one call: what to send, and what an answer or its absence means. Pure.

The shells send, receive and sleep; everything they decide is decided here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic

from ranvier.client import retries
from ranvier.client.calls import Call, Result
from ranvier.client.errors import AnswerNotUnderstood, RanvierError, of_answer

REQUEST_ID: Final = "x-request-id"
"""By this header the server knows a repeated request again (J4)."""


@dataclass(frozen=True, slots=True)
class Done(Generic[Result]):
    """The call is over."""

    result: Result


@dataclass(frozen=True, slots=True)
class Again:
    """The call is to be sent again after so many seconds."""

    seconds: float


class Attempts(Generic[Result]):
    """One call. `fresh_id` becomes its request id unless the caller chose one."""

    def __init__(self, call: Call[Result], fresh_id: str, retries_max: int) -> None:
        self._call = call
        self._retries_max = retries_max
        self._attempt = 0
        content = call.content()
        headers = {"accept": "application/json", **call.headers}
        if call.method != "GET":
            headers[REQUEST_ID] = call.request_id or fresh_id
        if content is not None:
            headers["content-type"] = "application/json"
        self.request: dict[str, Any] = {
            "method": call.method,
            "url": call.path,
            "params": dict(call.query),
            "content": content,
            "headers": headers,
        }
        """Arguments of httpx' `request`, the same for every attempt."""

    def answered(
        self, status: int, headers: Mapping[str, str], body: bytes, chance: float
    ) -> Done[Result] | Again:
        """An answer came: its result, another attempt, or the error that it stands for."""
        if 200 <= status < 300:
            return Done(self._read(body))
        wait = retries.after_answer(self._attempt, status, headers, chance)
        if wait is None or self._attempt >= self._retries_max:
            raise of_answer(status, body)
        return self._again(wait)

    def unanswered(self, error: RanvierError, chance: float) -> Again:
        """No answer came: another attempt, or raises the error."""
        if self._attempt >= self._retries_max:
            raise error
        return self._again(retries.backoff(self._attempt, chance))

    def _again(self, seconds: float) -> Again:
        self._attempt += 1
        return Again(seconds)

    def _read(self, body: bytes) -> Result:
        try:
            return self._call.read(body)
        except ValueError as error:
            what = f"{self._call.method} {self._call.path}: the answer can not be read ({error})."
            next_step = "Is the base URL that of a Ranvier server, and this client new enough?"
            raise AnswerNotUnderstood(what, next_step) from error
