"""A real API server process for each test, with static identities and a journal of its own."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

# The process and its callers live in a module of this folder, which is no package.
sys.path.insert(0, str(Path(__file__).parent))

from api_process import BROKER, OPERATOR, ApiServer


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    subject = ApiServer(tmp_path)
    subject.write_files()
    await subject.start()
    try:
        yield subject
    finally:
        if subject.process is not None and subject.process.returncode is None:
            await subject.kill()


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


@pytest.fixture
async def operator(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(OPERATOR) as client:
        yield client


@pytest.fixture
async def broker(server: ApiServer) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(BROKER) as client:
        yield client
