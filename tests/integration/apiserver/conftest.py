"""Real API server processes, with static identities and journals of their own."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

# The process and its callers live in a module of this folder, which is no package.
sys.path.insert(0, str(Path(__file__).parent))

from api_process import ApiServer, Box, box_on


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One process for all tests that neither stop it nor count what is on it."""
    yield from _running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """A process of the test's own."""
    yield from _running(tmp_path)


def _running(folder: Path) -> Iterator[ApiServer]:
    subject = ApiServer(folder)
    subject.start()
    try:
        yield subject
    finally:
        subject.close()


@pytest.fixture
async def api(shared: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with shared.client() as client:
        yield client


@pytest.fixture
async def box(shared: ApiServer) -> AsyncIterator[Box]:
    async with box_on(shared) as made:
        yield made
