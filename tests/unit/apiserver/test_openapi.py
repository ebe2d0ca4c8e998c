"""The OpenAPI document tells of every route, and of nothing else."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from ranvier_apiserver import app as application
from ranvier_apiserver.app import HOT, create_app, describe
from ranvier_apiserver.auth import Authenticator
from ranvier_apiserver.identities import StaticIdentities
from ranvier_apiserver.routes import unserved
from ranvier_apiserver.routes.context import Context


def routes() -> Iterator[tuple[str, str]]:
    for router in application.ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            if route.endpoint is not unserved.unserved:
                yield from ((method, route.path) for method in route.methods or ())
    yield from HOT


def described() -> set[tuple[str, str]]:
    return {(m.upper(), path) for path, methods in describe()["paths"].items() for m in methods}


@pytest.fixture
async def http(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The application without a journal: whoever gets past the key fails."""
    context = Context(*[None] * len(Context.__dataclass_fields__))  # type: ignore[arg-type]
    object.__setattr__(context, "authenticator", Authenticator({}, StaticIdentities(None)))
    transport = httpx.ASGITransport(app=create_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        yield client


def test_every_route_is_described_and_nothing_else() -> None:
    assert described() == set(routes())


async def test_what_is_described_is_served(http: httpx.AsyncClient) -> None:
    """Asked without a key, each path answers for itself; a path that is not there says so."""
    for method, path in sorted(described()):
        if path in ("/healthz", "/readyz"):
            continue
        url = path.replace("{index}", "0").replace("{", "").replace("}", "")
        answer = await http.request(method, url)
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), path
    unknown = await http.get("/v1/axons/a/b/c")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


async def test_the_document_is_served_without_a_key(http: httpx.AsyncClient) -> None:
    assert (await http.get("/openapi.json")).json() == json.loads(json.dumps(describe()))


def test_every_reference_leads_somewhere_and_names_are_unique() -> None:
    document = describe()
    refs: list[str] = []

    def walk(value: Any) -> None:
        if isinstance(value, dict):
            refs.extend([value["$ref"]] if "$ref" in value else [])
            value = list(value.values())
        if isinstance(value, list):
            for inner in value:
                walk(inner)

    walk(document)
    schemas = document["components"]["schemas"]
    assert refs
    assert {ref.removeprefix("#/components/schemas/") for ref in refs} <= set(schemas)
    ids = [o["operationId"] for methods in document["paths"].values() for o in methods.values()]
    assert len(ids) == len(set(ids))


def test_a_route_that_says_nothing_of_itself_is_described_all_the_same() -> None:
    app = FastAPI()

    @app.get("/a/{n}")
    async def thing(n: int) -> dict[str, str]:
        return {}

    (each,) = application.openapi.from_routes(app.routes[-1:])
    made = application.openapi.document([each])["paths"]["/a/{n}"]["get"]
    assert made["parameters"][0]["schema"] == {"type": "integer"}
    assert (made["summary"], made["security"]) == ("Thing", [])
