"""Commands and files through a replica that does not hold the sidecar's line, on one database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import httpx
import pytest
from broker_box import API_KEY, Box, Server
from journal_databases import PostgresDatabase, server
from ranvier.events import devbox_id
from ranvier_dev.ports import free_port
from runloop_api_client import AsyncRunloop
from runloop_api_client.sdk import AsyncDevbox

LINES = 20_000

At = Callable[[Server], AsyncDevbox]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    database = PostgresDatabase(server().new_database())
    flags = (*database.flags(), "--host", "127.0.0.1", "--replica-address", "127.0.0.1")
    both = tuple(
        Server(tmp_path_factory.mktemp(name), *flags, port=free_port()) for name in ("one", "two")
    )
    yield both[0], both[1]
    for each in both:
        each.kill()


@pytest.fixture
async def box(replicas: tuple[Server, Server], tmp_path: Path) -> AsyncIterator[Box]:
    """Its sidecar dials the first replica."""
    async with Box(replicas[0], tmp_path, has_mount=False) as box:
        box.start()
        yield box


@pytest.fixture
async def at(box: Box) -> AsyncIterator[At]:
    """The devbox as a client of a replica sees it."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []

        def see(replica: Server) -> AsyncDevbox:
            clients.append(AsyncRunloop(bearer_token=API_KEY, base_url=replica.url))
            stack.push_async_callback(clients[-1].close)
            return AsyncDevbox(clients[-1], devbox_id(box.uid))

        yield see


async def test_commands_and_files_come_through_the_other_replica(
    replicas: tuple[Server, Server], at: At
) -> None:
    devbox = at(replicas[1])
    heard: list[str] = []
    result = await devbox.cmd.exec(f"seq 1 {LINES}; exit 3", stdout=heard.append)
    assert "".join(heard) == "".join(f"{i}\n" for i in range(1, LINES + 1))
    assert result.exit_code == 3
    content = bytes(range(256)) * 4096
    await devbox.file.upload(path="blob", file=content)
    assert await at(replicas[0]).file.download(path="blob") == content
    assert await devbox.file.download(path="blob") == content


async def test_a_call_outlasts_the_death_of_the_replica_that_held_the_line(
    replicas: tuple[Server, Server], at: At
) -> None:
    one, two = replicas
    devbox = at(two)
    await devbox.cmd.exec("true")
    one.kill()
    asked = asyncio.ensure_future(devbox.cmd.exec("echo once >>count; cat count"))
    await asyncio.sleep(0)  # it is asked while the replica that held the line is down
    await asyncio.to_thread(one.start)
    result = await asked
    assert await result.stdout() == "once\n"


async def test_a_sidecar_that_dials_another_replica_is_found_there(
    replicas: tuple[Server, Server], box: Box, at: At
) -> None:
    one, two = replicas
    await at(two).cmd.exec("true")
    box.stop_broker()
    two.identities.update(one.identities)
    two.add_broker(box.uid)
    box.api_url = two.url
    box.start_broker()
    assert (await at(one).cmd.exec("exit 4")).exit_code == 4


async def test_only_a_replica_hands_calls_on(replicas: tuple[Server, Server], box: Box) -> None:
    async with httpx.AsyncClient(base_url=replicas[0].url, trust_env=False) as client:
        for token in (API_KEY, "wrong", (box.folder / "token").read_text()):
            answer = await client.post(
                f"/internal/v1/devboxes/{box.uid}/ask",
                json={"op": "list"},
                headers={"authorization": f"Bearer {token}"},
            )
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
