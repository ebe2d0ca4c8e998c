"""Every route under requests that its description allows and forbids: no 5xx, no hang, no crash.

The cases come from the served OpenAPI document, so a new route is fuzzed without a word here, and
answers are held against the document. `RANVIER_SOAK=1` looks longer and at other cases each time.
"""

import json
import os
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
CHOSEN = [not_a_server_error, response_schema_conformance, content_type_conformance]

DOCUMENT = schemathesis.openapi.from_dict(describe())


@schemathesis.serializer("application/x-ndjson")
def _lines(_: Any, value: Any) -> bytes:
    """The schema is of one line; a body here is two of the same."""
    return json.dumps(value).encode() + b"\n" + json.dumps(value).encode()


@pytest.fixture(scope="module")
def http(shared: ApiServer) -> Any:
    with httpx.Client(base_url=shared.url, timeout=ANSWER_SECONDS) as client:
        client.headers["authorization"] = f"Bearer {KEY}"
        yield client


@DOCUMENT.exclude(path_regex=f"{STREAM}$").parametrize()
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


def aim(case: schemathesis.Case, http: httpx.Client) -> None:
    """Half of the cases are at an axon that is there; reads that wait, wait shortly."""
    if "axon_id" in case.path_parameters and len(str(case.path_parameters["axon_id"])) % 2:
        axon = http.post("/v1/axons").json()["id"]
        body = {"event_type": "t", "origin": "USER_EVENT", "payload": "", "source": "s"}
        http.post(f"/v1/axons/{axon}/publish", json=body).raise_for_status()
        case.path_parameters["axon_id"] = axon
    if case.query and isinstance(case.query.get("wait"), int | float):
        case.query["wait"] = min(case.query["wait"], WAIT_SECONDS)
