"""Runloop's published SDKs, each in a process of its own, unchanged against this server.

Python 3.0.0 is in our lock (`test_runloop_python_sdk.py` has seed 000's examples); 1.32.0 stands
beside it. TypeScript 1.32.0 speaks h2c, its default. A proxy that loses answers after the request
was sent shows that no retry of theirs is appended twice (J4).
"""

import asyncio
import uuid
from pathlib import Path
from typing import Any

import httpx
import published_sdks
import pytest
from api_process import KEY, ApiServer
from cutting_proxy import CuttingProxy
from ranvier_apiserver import serving
from starlette.requests import Request
from starlette.responses import Response

PASSED_ON = {"authorization", "content-type", "x-request-id"}
SOME_ANSWERS_BYTES = 300


@pytest.fixture(scope="session")
def typescript(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published_sdks.typescript_folder(tmp_path_factory.mktemp("typescript"))


async def run_python(version: str, journey: str, url: str, **environment: str) -> None:
    await published_sdks.run_python(
        *("runloop_axon_journeys.py", version, journey),
        RUNLOOP_BASE_URL=url,
        RUNLOOP_API_KEY=KEY,
        **environment,
    )


async def run_typescript(folder: Path, journey: str, url: str, **environment: str) -> None:
    await published_sdks.run_node(
        folder,
        *("axon_journeys.mjs", journey),
        RUNLOOP_BASE_URL=url,
        RUNLOOP_API_KEY=KEY,
        **environment,
    )


@published_sdks.PYTHON_VERSIONS
@pytest.mark.parametrize("journey", ["calls", "async_calls", "sql", "async_sql"])
async def test_every_axon_call_of_the_python_sdk(
    shared: ApiServer, version: str, journey: str
) -> None:
    await run_python(version, journey, shared.url)


@pytest.mark.parametrize("journey", ["calls", "streams", "many", "pages", "errors", "sql"])
async def test_every_axon_call_of_the_typescript_sdk(
    shared: ApiServer, typescript: Path, journey: str
) -> None:
    await run_typescript(typescript, journey, shared.url)


def lost_answers(connection: int) -> int:
    """Every second connection is cut at its first answer, the others soon after: the request
    arrived, and nobody heard."""
    return 0 if connection % 2 else SOME_ANSWERS_BYTES


async def stands_once(server: ApiServer, name: str, payloads: list[str]) -> None:
    async with server.client() as api:
        (axon,) = (await api.get("/v1/axons", params={"name": name})).json()["axons"]
        page = (await api.get(f"/v1/axons/{axon['id']}/events")).json()
        assert [event["payload"] for event in page["events"]][::-1] == payloads


@published_sdks.PYTHON_VERSIONS
@pytest.mark.parametrize("journey", ["cut", "async_cut"])
async def test_no_retry_of_the_python_sdk_is_appended_twice(
    shared: ApiServer, version: str, journey: str
) -> None:
    name = f"cut-{uuid.uuid4().hex}"
    async with CuttingProxy(shared.port, lost_answers) as proxy:
        await run_python(version, journey, proxy.url, AXON_NAME=name)
        assert proxy.cuts > 1
    await stands_once(shared, name, ["1", "2", "3"])


class ForgetfulGateway:
    """Passes requests on and loses the first answer to each: what was asked for is done.

    It speaks HTTP/2, so it loses single streams; a connection cut in mid-request would show the
    SDK's patience alone, for it does not notice a clean end of one.
    """

    def __init__(self, upstream: httpx.AsyncClient) -> None:
        self._upstream = upstream
        self.lost: set[str] = set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        answer = await self._upstream.request(
            request.method,
            request.url.path,
            headers={k: v for k, v in request.headers.items() if k in PASSED_ON},
            content=await request.body(),
        )
        if (request_id := request.headers.get("x-request-id", "")) not in self.lost:
            self.lost.add(request_id)
            raise ConnectionError("the answer is lost")
        headers = {"content-type": answer.headers["content-type"]}
        await Response(answer.content, answer.status_code, headers)(scope, receive, send)


async def test_no_retry_of_the_typescript_sdk_is_appended_twice(
    shared: ApiServer, typescript: Path, api: httpx.AsyncClient
) -> None:
    name = f"cut-{uuid.uuid4().hex}"
    gateway = ForgetfulGateway(api)
    server = serving.server_for(gateway, lambda: None)
    listener = serving.listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            await run_typescript(typescript, "cut", url, AXON_NAME=name)
        finally:
            server.should_exit = True
    assert len(gateway.lost) == 1 + 3
    await stands_once(shared, name, ["1", "2", "3"])
