"""Request bodies: read within a limit, checked into a model, and errors that say what to change."""

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from ranvier.events import PAYLOAD_BYTES_MAX
from starlette.types import Receive

from ranvier_apiserver.errors import BadInput, InvalidField, PayloadTooLarge, RanvierError

ESCAPED_BYTES_MAX: Final = 6
"""JSON can make six bytes of one (`\\u0001`)."""

PUBLISH_BODY_BYTES_MAX: Final = PAYLOAD_BYTES_MAX * ESCAPED_BYTES_MAX + 64 * 1024
"""Every payload that is allowed fits in, however it is escaped."""

APPEND_BODY_BYTES_MAX: Final = 2 * PUBLISH_BODY_BYTES_MAX
"""A broker's batch: several events, of which one may be of the largest size."""

BODY_BYTES_MAX: Final = 1024 * 1024
"""Everything else: names, metadata, bindings."""

Model = TypeVar("Model", bound=BaseModel)


async def read(scope: Mapping[str, Any], receive: Receive, limit: int) -> bytes:
    """The whole body. Stops reading as soon as it is known to be too large (413)."""
    declared = next((v for k, v in scope["headers"] if k == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadInput("The request ended before its body did.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


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
