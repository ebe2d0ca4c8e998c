"""Real API server processes, with static identities and journals of their own."""

import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import pytest_asyncio
from preloaded import Loaded

# The process and its callers live in a module of this folder, which is no package.
sys.path.insert(0, str(Path(__file__).parent))

from api_process import ApiServer, Box, box_on, running

if TYPE_CHECKING:
    from devbox_plant import Plant


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """One process for all tests that neither stop it nor count what is on it."""
    yield from running(tmp_path_factory.mktemp("shared"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    """A process of the test's own."""
    yield from running(tmp_path)


@pytest.fixture(scope="session")
def loaded() -> Iterator[Loaded]:
    """Starts API servers in milliseconds."""
    subject = Loaded()
    yield subject
    subject.close()


@pytest.fixture
async def api(shared: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with shared.client() as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def whole(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator["Plant"]:
    """Devboxes with all that they need, for the tests of one module."""
    from devbox_plant import building  # the operator takes its time to import

    async with building(tmp_path_factory.mktemp("devboxes")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def plant(whole: "Plant") -> AsyncIterator["Plant"]:
    """The same for one test; the next finds no devbox of it."""
    yield whole
    await whole.clear()


@pytest.fixture
async def box(shared: ApiServer) -> AsyncIterator[Box]:
    async with box_on(shared) as made:
        yield made


def pytest_itemcollected(item: pytest.Item) -> None:
    """Schemathesis gives the tests of all routes one id, and of tests with one id only one runs
    when workers share them out."""
    if route := getattr(item, "operation_label", None):
        item._id = item.id.with_params(route)
