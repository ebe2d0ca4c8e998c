"""Each write leaves a line: who, what, which axon and sequence, which request."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from api_process import KEY, READER, ApiServer, box_on, create, publish

NOBODY = "key-of-nobody-0123456789"
PUBLISHER = "key-of-a-webhook-0123456789"


def who(key: str) -> str:
    return f"key {hashlib.sha256(key.encode()).hexdigest()[:16]}"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiServer]:
    server = ApiServer(tmp_path)
    with (tmp_path / "keys").open("a") as keys:
        keys.write(f"{PUBLISHER} axons:publish\n")
    server.flags = ("--audit-log", str(tmp_path / "audit.jsonl"))
    server.start()
    yield server
    server.close()


def trail(server: ApiServer) -> list[dict[str, Any]]:
    """All lines, once the process has ended."""
    assert server.stop() == 0
    text = (server.folder / "audit.jsonl").read_text()
    for secret in (KEY, READER, PUBLISHER, NOBODY, "payload-of-somebody"):
        assert secret not in text
    return [json.loads(line) for line in text.splitlines()]


async def test_every_write_has_its_line(server: ApiServer) -> None:
    async with server.client() as api:
        axon = await create(api, name="a")
        await publish(api, axon, "payload-of-somebody", headers={"x-request-id": "r-1"})
        event = {"event_type": "t", "origin": "AGENT_EVENT", "source": "s", "payload": ""}
        await api.post(f"/v1/axons/{axon}/publish", json=[event, event])
        await api.get(f"/v1/axons/{axon}/events")
        await api.post(f"/v1/axons/{axon}", json={"metadata": {"a": "b"}})
        await api.post(f"/v1/axons/{axon}/sql/query", json={"sql": "SELECT 1"})
        await api.delete(f"/v1/axons/{axon}")
        await publish(api, axon)
        await api.post("/v1/nothing")
    lines = trail(server)
    assert {line["who"] for line in lines} == {who(KEY)}
    assert {line["axon_id"] for line in lines} == {axon}
    assert [(line["what"].removeprefix("POST /v1/axons"), line["status"]) for line in lines] == [
        ("", 200),
        ("/{axon_id}/publish", 200),
        ("/{axon_id}/publish", 200),
        ("/{axon_id}", 200),
        ("/{axon_id}/sql/query", 200),
        ("DELETE /v1/axons/{axon_id}", 200),
        ("/{axon_id}/publish", 404),
    ]
    assert [(line.get("sequence"), line.get("events")) for line in lines[:4]] == [
        (None, None),
        (1, 1),
        (3, 2),
        (None, None),
    ]
    assert lines[1]["request_id"] == "r-1"
    assert lines[1]["client"] == "127.0.0.1"


async def test_who_was_refused_is_told_too(server: ApiServer) -> None:
    async with server.client() as api:
        axon = await create(api)
    for key in (READER, NOBODY, PUBLISHER):
        async with server.client(key) as api:
            await publish(api, axon)
            await api.delete(f"/v1/axons/{axon}")
    _, *lines = trail(server)
    assert [(line["who"], line["status"]) for line in lines] == [
        (who(READER), 403),
        (who(READER), 403),
        (None, 401),
        (None, 401),
        (who(PUBLISHER), 200),
        (who(PUBLISHER), 403),
    ]


async def test_operator_and_broker_are_told_apart(server: ApiServer) -> None:
    async with server.client() as api, box_on(server) as box:
        axon = await create(api)
        await box.bind(axon)
        await box.attach()
        note = {"origin": "AGENT_EVENT", "event_type": "note", "payload": "{}"}
        await box.append(events=[note, note])
    _, bound, attached, appended = trail(server)
    assert (bound["who"], bound["uid"]) == ("operator", box.uid)
    assert attached["who"] == f"broker {box.uid}"
    assert appended["what"].endswith("/append")
    assert (appended["uid"], appended["index"]) == (box.uid, "0")
    assert (appended["sequence"], appended["events"]) == (2, 2)


async def test_lines_of_publishers_in_parallel_are_all_there(server: ApiServer) -> None:
    async with server.client() as api:
        axon = await create(api)
        limits = asyncio.Semaphore(32)

        async def one(number: int) -> httpx.Response:
            async with limits:
                return await publish(api, axon, headers={"x-request-id": f"r-{number}"})

        answers = await asyncio.gather(*(one(number) for number in range(500)))
    sequences = {f"r-{number}": answer.json()["sequence"] for number, answer in enumerate(answers)}
    _, *lines = trail(server)
    assert {line["request_id"]: line["sequence"] for line in lines} == sequences


async def test_without_a_file_the_lines_stand_among_the_logs(tmp_path: Path) -> None:
    server = ApiServer(tmp_path)
    server.flags = ("--audit-log", "stderr")
    server.start()
    try:
        async with server.client() as api:
            axon = await create(api)
            line = await server.log("write", axon_id=axon)
        assert line["logger"] == "ranvier_apiserver.audit"
    finally:
        server.close()
