"""What a route says of itself for the OpenAPI document, beside what its signature tells. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from pydantic import BaseModel

JsonSchema = Mapping[str, Any]
Model = type[BaseModel]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter or header, all of which may be left out."""

    name: str
    schema: JsonSchema
    description: str
    where: str = "query"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer by status that a reader should know of."""

    words: str
    model: Model | None = None
    """None: `{"code", "message"}`, as refusals are."""


@dataclass(frozen=True, slots=True)
class Operation:
    """`bodies`, `answers`: alternatives. `media_type` is that of the answer when all went well."""

    answers: Sequence[Model] = ()
    bodies: Sequence[Model] = ()
    parameters: Sequence[Parameter] = ()
    media_type: str = "application/json"
    body_media_type: str = "application/json"
    refusals: Mapping[int, Refusal] = field(default_factory=dict)


NOTHING_SAID: Final = Operation()

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])

_SAID: Final[dict[Any, Operation]] = {}


def described(operation: Operation) -> Callable[[Endpoint], Endpoint]:
    """Decorates an endpoint; stands below the router's own decorator."""

    def remember(endpoint: Endpoint) -> Endpoint:
        _SAID[endpoint] = operation
        return endpoint

    return remember


def operation_of(endpoint: Any) -> Operation:
    return _SAID.get(endpoint, NOTHING_SAID)
