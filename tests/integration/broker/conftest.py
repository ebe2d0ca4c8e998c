"""One API server a module; a devbox of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from broker_box import Box, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("server"))
    yield server
    server.kill()


@pytest.fixture
def box(server: Server, tmp_path: Path) -> Box:
    return Box(server, tmp_path)


@pytest.fixture
async def running(box: Box) -> AsyncIterator[Box]:
    """A devbox whose broker and launcher run."""
    async with box:
        box.start()
        yield box
