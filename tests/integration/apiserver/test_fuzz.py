"""Every route under requests that its description allows and forbids: no 5xx, no hang, no crash.

The cases come from the served OpenAPI document, so a new route is fuzzed without a word here, and
answers are held against the document. `RANVIER_SOAK=1` looks longer and at other cases each time.
"""

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import schemathesis
from api_process import KEY, OPERATOR, ApiServer
from hypothesis import HealthCheck, settings
from ranvier_apiserver.app import describe
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
)

SOAK = os.environ.get("RANVIER_SOAK") == "1"
CASES = 300 if SOAK else 8
ANSWER_SECONDS = 30
WAIT_SECONDS = 0.05
STREAM = "/subscribe/sse"
FLEET = "^/v1/(devboxes|blueprints|secrets)"
"""Routes that need Kubernetes; without it they are 501, which is another test's."""
CHOSEN = [not_a_server_error, response_schema_conformance, content_type_conformance]

DOCUMENT = schemathesis.openapi.from_dict(describe())


@schemathesis.serializer("application/x-ndjson")
def _lines(_: Any, value: Any) -> bytes:
    """The schema is of one line; a body here is two of the same."""
    return json.dumps(value).encode() + b"\n" + json.dumps(value).encode()


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An API server with a cluster, which lives on a thread: these tests block."""
    from devbox_plant import building

    url: Future[str] = Future()
    end = threading.Event()

    async def live() -> None:
        async with building(tmp_path_factory.mktemp("fuzzed")) as plant:
            url.set_result(plant.server.url)
            await asyncio.to_thread(end.wait)

    with ThreadPoolExecutor(1) as pool:
        living = pool.submit(asyncio.run, live())
        yield url.result(ANSWER_SECONDS * 2)
        end.set()
        living.result()


@pytest.fixture(scope="module")
def http(shared: ApiServer) -> Any:
    with httpx.Client(base_url=shared.url, timeout=ANSWER_SECONDS) as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        yield client


@DOCUMENT.exclude(path_regex=f"{STREAM}$|{FLEET}").parametrize()
@settings(
    max_examples=CASES,
    derandomize=not SOAK,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_a_route(case: schemathesis.Case, http: httpx.Client) -> None:
    aim(case, http)
    token = OPERATOR if case.path.startswith("/internal") else KEY
    answer = case.call(
        base_url=str(http.base_url),
        headers={"authorization": f"Bearer {token}"},
        timeout=ANSWER_SECONDS,
    )
    case.validate_response(answer, checks=CHOSEN)
    assert http.get("/healthz").status_code == 200


@DOCUMENT.include(path_regex=f"{STREAM}$").parametrize()
@settings(max_examples=CASES, derandomize=not SOAK, deadline=None, database=None)
def test_no_request_breaks_a_stream(case: schemathesis.Case, http: httpx.Client) -> None:
    """A stream has no end, so only its beginning is looked at."""
    aim(case, http)
    with http.stream(case.method, case.formatted_path, params=case.query) as answer:
        assert answer.status_code < 500
        if answer.status_code == 200:
            assert next(answer.iter_bytes()).startswith(b": open\n\n")
        else:
            assert set(answer.read() and answer.json()) == {"code", "message"}


@DOCUMENT.include(path_regex=FLEET).parametrize()
@settings(
    max_examples=CASES,
    derandomize=not SOAK,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_a_route_to_the_cluster(case: schemathesis.Case, fleet: str) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("timeout_seconds"), int | float):
        case.body["timeout_seconds"] = min(case.body["timeout_seconds"], WAIT_SECONDS)
    answer = case.call(
        base_url=fleet, headers={"authorization": f"Bearer {KEY}"}, timeout=ANSWER_SECONDS
    )
    case.validate_response(answer, checks=CHOSEN)


def aim(case: schemathesis.Case, http: httpx.Client) -> None:
    """Half of the cases are at an axon that is there; reads that wait, wait shortly."""
    if "axon_id" in case.path_parameters and len(str(case.path_parameters["axon_id"])) % 2:
        axon = http.post("/v1/axons").json()["id"]
        body = {"event_type": "t", "origin": "USER_EVENT", "payload": "", "source": "s"}
        http.post(f"/v1/axons/{axon}/publish", json=body).raise_for_status()
        case.path_parameters["axon_id"] = axon
    if case.query and isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = min(case.query["wait"], WAIT_SECONDS)
