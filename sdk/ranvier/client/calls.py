"""One call as a value: what is sent, and how its answer is read. Pure; the shells perform it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pydantic import TypeAdapter

from ranvier.client.errors import RanvierError

Result = TypeVar("Result")
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """A request and its reader. The reader raises pydantic's ValidationError (a ValueError).

    Every call may be sent again although the first may have been performed: the server knows it
    again by its request id (J4), or doing it twice is the same as once.
    """

    method: str
    path: str
    read: Callable[[bytes], Result]
    query: Mapping[str, str] = field(default_factory=dict)
    body: Json | Sequence[Json] | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes | None:
        """The body's bytes, None when there is none; raises RanvierError for what is no text."""
        if self.body is None:
            return None
        text = json.dumps(self.body, ensure_ascii=False, separators=(",", ":"))
        try:
            return text.encode()
        except UnicodeEncodeError:
            what = "The request holds half of a surrogate pair, which is no character."
            raise RanvierError(what, "Replace it, or encode the content (base64).") from None


def reader(kind: type[Result]) -> Callable[[bytes], Result]:
    """Reads the answer's JSON as one of the models."""
    return TypeAdapter(kind).validate_json


def given(**fields: Any) -> dict[str, Any]:
    """The fields that were not left out."""
    return {name: value for name, value in fields.items() if value is not None}


def as_query(**fields: Any) -> dict[str, str]:
    """The parameters that were not left out, as Runloop's clients write them."""
    return {name: _word(value) for name, value in fields.items() if value is not None}


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def as_page(body: bytes, plural: str) -> dict[str, Any]:
    """A list as pydantic reads a `Page`: Runloop's name their items by what they are."""
    answer = _OBJECT.validate_json(body)
    return {**answer, "items": answer.get(plural)}


_OBJECT: Final = TypeAdapter(dict[str, Any])
