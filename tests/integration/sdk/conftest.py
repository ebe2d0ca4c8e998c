"""The SDK against a real API server process."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from broker_box import API_KEY, Server
from ranvier import AsyncRanvier, Ranvier


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
async def ranvier(server: Server) -> AsyncIterator[AsyncRanvier]:
    async with AsyncRanvier(server.url, API_KEY) as client:
        yield client


@pytest.fixture
def blocking(server: Server) -> Iterator[Ranvier]:
    with Ranvier(server.url, API_KEY) as client:
        yield client


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own, to be killed and started again."""
    server = Server(tmp_path)
    yield server
    server.kill()
