"""What every route needs, in one value, and how a FastAPI route gets at it."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel

from ranvier_apiserver import auth, bodies
from ranvier_apiserver.auth import ApiKey, Authenticator, Principal
from ranvier_apiserver.axon_sql.engine import SqlEngine
from ranvier_apiserver.bodies import Intake
from ranvier_apiserver.errors import BadInput, NoCluster
from ranvier_apiserver.fleet import Fleet
from ranvier_apiserver.journal.store import Store
from ranvier_apiserver.sidecars import Sidecars
from ranvier_apiserver.tail import Tails
from ranvier_apiserver.waker import Waker

REQUEST_ID_CHARACTERS_MAX: Final = 256

Model = TypeVar("Model", bound=BaseModel)


def nobody(_: str) -> bool:
    """There are no other replicas."""
    return False


@dataclass(frozen=True, slots=True)
class Context:
    store: Store
    tails: Tails
    waker: Waker
    authenticator: Authenticator
    sql: SqlEngine
    intake: Intake = field(default_factory=Intake)
    sidecars: Sidecars = field(default_factory=Sidecars)
    fleet: Fleet | None = None
    """None where there is no Kubernetes."""
    admits: Callable[[str], bool] = nobody
    """Whether a token is that of another replica."""


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def principal_of(request: Request) -> Principal:
    return await context_of(request).authenticator.principal(request.scope)


async def _store(request: Request) -> Store:
    return context_of(request).store


async def _fleet(request: Request) -> Fleet:
    fleet = context_of(request).fleet
    if fleet is None:
        raise NoCluster(
            "This API server was started without Kubernetes (--devboxes none), so it has no "
            "devboxes, blueprints or secrets. Axons work."
        )
    return fleet


async def _sidecars(request: Request) -> Sidecars:
    return context_of(request).sidecars


Caller = Annotated[Principal, Depends(principal_of)]
TheStore = Annotated[Store, Depends(_store)]
TheSidecars = Annotated[Sidecars, Depends(_sidecars)]
TheFleet = Annotated[Fleet, Depends(_fleet)]


async def _operator(caller: Caller) -> None:
    auth.require_operator(caller)


OperatorOnly = Depends(_operator)


@dataclass(frozen=True, slots=True)
class BodyReader(Generic[Model]):
    """A dependency that reads the body within its limit."""

    model: type[Model]
    limit: int

    async def __call__(self, request: Request) -> Model:
        body = await context_of(request).intake.read(request.scope, request.receive, self.limit)
        return bodies.parse(self.model, body)


def body_of(model: type[Model], limit: int = bodies.BODY_BYTES_MAX) -> BodyReader[Model]:
    return BodyReader(model, limit)


def once_of(scope: Mapping[str, Any], key: ApiKey) -> bytes | None:
    """The digest that makes a retry of this request known: key, route and `x-request-id` (J4)."""
    request_id = next((v for k, v in scope["headers"] if k == b"x-request-id"), b"")
    if not request_id:
        return None
    if len(request_id) > REQUEST_ID_CHARACTERS_MAX:
        raise BadInput(f"x-request-id has at most {REQUEST_ID_CHARACTERS_MAX} characters.")
    parts = [key.key_id.encode(), scope["method"].encode(), scope["path"].encode(), request_id]
    return hashlib.blake2b(b"\0".join(parts), digest_size=16).digest()
