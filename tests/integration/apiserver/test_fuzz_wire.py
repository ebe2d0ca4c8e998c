"""Bytes that no client would send: bodies and headers of any kind, requests bent on the wire.

What comes back is an answer below 500 or a closed connection; the process stays well, and its log
tells of no error. `RANVIER_SOAK=1` looks longer and at other cases each time.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from urllib.parse import quote, urlencode

import h2.config
import h2.connection
import httpx
import pytest
from api_process import KEY, OPERATOR, ApiServer
from hypothesis import given, settings
from hypothesis import strategies as st
from ranvier_apiserver.app import describe

SOAK = os.environ.get("RANVIER_SOAK") == "1"
CASES = 5_000 if SOAK else 120
ANSWER_SECONDS = 30
LINGER_SECONDS = 0.02
"""A bent request may leave the server waiting for its rest; then we go."""

ROUTES = [
    (method.upper(), path) for path, methods in describe()["paths"].items() for method in methods
]
thorough = settings(max_examples=CASES, derandomize=not SOAK, deadline=None, database=None)

texts = st.text(max_size=40)
visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=40)
headers = st.dictionaries(
    st.sampled_from(
        ["x-request-id", "if-match", "content-type", "accept-encoding", "range", "expect"]
    ),
    visible.map(str.strip),
)
bodies = st.one_of(
    st.binary(max_size=2_000),
    st.sampled_from([b"[" * 50_000, b'{"a":' * 20_000, b"\xff\xfe{}", b"1e999", b'"\\ud800"']),
)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=ANSWER_SECONDS) as client:
        yield client


@pytest.fixture(autouse=True)
def nothing_breaks(shared: ApiServer, http: httpx.Client) -> Iterator[None]:
    before = len(shared.logs)
    yield
    assert http.get(f"{shared.url}/healthz").status_code == 200
    assert [line for line in shared.logs[before:] if line["level"] == "error"] == []


@thorough
@given(st.sampled_from(ROUTES), st.lists(texts), st.dictionaries(texts, texts), headers, bodies)
def test_no_bytes_break_a_route(
    shared: ApiServer,
    http: httpx.Client,
    route: tuple[str, str],
    words: list[str],
    query: dict[str, str],
    more: dict[str, str],
    body: bytes,
) -> None:
    method, template = route
    filling = iter(words)
    path = re.sub(r"\{.*?\}", lambda _: quote(next(filling, "x"), safe=""), template)
    token = OPERATOR if template.startswith("/internal") else KEY
    sent = {"authorization": f"Bearer {token}", **more}
    url = f"{shared.url}{path}?{urlencode(query)}"
    with http.stream(method, url, headers=sent, content=body) as answer:
        # What needs a cluster says that there is none (501); that is an answer.
        assert answer.status_code < 500 or answer.status_code == 501, answer.read()


def http_1() -> bytes:
    body = b'{"event_type":"t","origin":"USER_EVENT","payload":"","source":"s"}'
    head = (
        f"POST /v1/axons/axn_x/publish HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def http_2() -> bytes:
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    client.initiate_connection()
    head = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", "/v1/axons/axn_x/publish"),
        ("authorization", f"Bearer {KEY}"),
    ]
    client.send_headers(1, head)
    client.send_data(1, b'{"event_type":"t","origin":"USER_EVENT"')
    client.send_data(1, b',"payload":"","source":"s"}', end_stream=True)
    client.send_headers(3, [*head[:3], (":path", "/healthz"), *head[4:]], end_stream=True)
    return client.data_to_send()


@thorough
@given(st.data(), st.sampled_from([http_1(), http_2()]))
async def test_no_bytes_on_a_connection_break_the_server(
    shared: ApiServer, data: st.DataObject, request: bytes
) -> None:
    bent = bytearray(request)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(bent) - 1))
        bent[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    writer.write(bent)
    try:
        async with asyncio.timeout(LINGER_SECONDS):
            seen = await reader.read()
    except (TimeoutError, ConnectionError):
        seen = b""
    writer.close()
    if found := re.match(rb"HTTP/1.1 (\d{3})", seen):
        assert int(found[1]) < 500, seen
