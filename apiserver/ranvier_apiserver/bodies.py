"""Request bodies: read within a limit, checked into a model, and errors that say what to change."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from ranvier.events import PAYLOAD_BYTES_MAX
from starlette.types import Receive

from ranvier_apiserver.errors import (
    BadInput,
    BodyStopped,
    InvalidField,
    PayloadTooLarge,
    RanvierError,
    TooBusy,
)
from ranvier_apiserver.pauses import Pauses

ESCAPED_BYTES_MAX: Final = 6
"""JSON can make six bytes of one (`\\u0001`)."""

PUBLISH_BODY_BYTES_MAX: Final = PAYLOAD_BYTES_MAX * ESCAPED_BYTES_MAX + 64 * 1024
"""Every payload that is allowed fits in, however it is escaped."""

APPEND_BODY_BYTES_MAX: Final = 2 * PUBLISH_BODY_BYTES_MAX
"""A broker's batch: several events, of which one may be of the largest size."""

BODY_BYTES_MAX: Final = 1024 * 1024
"""Everything else: names, metadata, bindings."""

BODIES_BYTES_MAX: Final = 256 * 1024 * 1024
"""What is held of bodies that are not complete yet, of all requests; beyond it 429."""

CHUNK_SECONDS: Final = 30.0
"""How long a body may pause; then 408, which the published clients send again."""

Model = TypeVar("Model", bound=BaseModel)


class Intake:
    """Reads bodies; what is being read of all requests is bounded, in bytes and in time."""

    def __init__(self) -> None:
        self.held = 0
        self._pauses = Pauses(CHUNK_SECONDS)

    async def read(self, scope: Mapping[str, Any], receive: Receive, limit: int) -> bytes:
        """The whole body. Stops reading as soon as it is known to be too large (413)."""
        declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)
        parts: list[bytes] = []
        size, more = 0, True
        try:
            while more:
                part, more = await self._next(receive)
                size += len(part)
                self.held += len(part)
                if size > limit:
                    raise _too_large(limit)
                # A body that came in one piece is there already; refusing it would save nothing.
                if parts and self.held > BODIES_BYTES_MAX:
                    raise TooBusy("Too many large bodies are being read; send this again soon.")
                parts.append(part)
        finally:
            self.held -= size
        return b"".join(parts)

    async def parts(self, receive: Receive) -> AsyncIterator[bytes]:
        """A body of any length, as it comes."""
        more = True
        while more:
            part, more = await self._next(receive)
            yield part

    async def _next(self, receive: Receive) -> tuple[bytes, bool]:
        """The next part, and whether there are more."""
        try:
            message = await self._pauses.wait(receive)
        except TimeoutError:
            raise BodyStopped(
                f"Nothing of the body came for {CHUNK_SECONDS:.0f} s; send the request again."
            ) from None
        if message["type"] == "http.disconnect":
            raise BadInput("The request ended before its body did.")
        return message.get("body", b""), message.get("more_body", False)


def parse(model: type[Model], body: bytes) -> Model:
    """The body as its model. Clients send an empty body where every field may be left out."""
    try:
        return model.model_validate_json(body or b"{}")
    except ValidationError as error:
        raise _explain(error) from error


def _explain(error: ValidationError) -> RanvierError:
    first = error.errors(include_url=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return BadInput(
            f"The body is not valid JSON: {first['msg'].removeprefix('Invalid JSON: ')}."
        )
    where = ".".join(str(part) for part in first["loc"])
    return InvalidField(f"{where or 'The body'}: {first['msg']}.")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(
        f"The body is larger than {limit} bytes. A payload holds at most {PAYLOAD_BYTES_MAX}; "
        "put larger content elsewhere and publish a reference to it."
    )
