"""One API server a module; a devbox of its own for each test."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from broker_box import Box, Server
from dialects import SCRIPTED, Cast
from ranvier.verify import verify


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


@pytest.fixture(params=SCRIPTED, ids=lambda cast: cast.name)
async def devbox(request: pytest.FixtureRequest, box: Box) -> AsyncIterator[Box]:
    """A devbox for each protocol, not started yet; in the end its journal is looked through."""
    cast: Cast = request.param
    box.protocol = cast.dialect.protocol
    with cast.program(box.folder / "home") as program:
        box.agent = program.command
        async with box:
            yield box
            assert verify(box.journal, is_idle=True) == [], box.told()
