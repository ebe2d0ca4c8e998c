"""A backup that is taken while the server works is whole, and serves."""

import asyncio
import sys
from pathlib import Path

import httpx
import pytest
from api_process import ApiServer, create, publish, read
from ranvier_apiserver import backup
from ranvier_apiserver.errors import JournalDamaged
from ranvier_apiserver.journal.opening import FILE_NAME

BACK_UP = [sys.executable, "-m", "ranvier_apiserver.backup"]


async def publish_for_ever(api: httpx.AsyncClient, axon_id: str, said: dict[int, str]) -> None:
    while True:
        payload = f"event {len(said)}"
        answer = await publish(api, axon_id, payload)
        said[answer.json()["sequence"]] = payload


async def sql(api: httpx.AsyncClient, axon_id: str, text: str) -> httpx.Response:
    return await api.post(f"/v1/axons/{axon_id}/sql/query", json={"sql": text})


async def test_a_backup_under_load_has_all_that_was_acknowledged_before(
    server: ApiServer, tmp_path: Path
) -> None:
    said: dict[int, str] = {}
    async with server.client() as api:
        axon_id = await create(api)
        await sql(api, axon_id, "CREATE TABLE note AS SELECT 'kept' AS text")
        publishing = asyncio.create_task(publish_for_ever(api, axon_id, said))
        while len(said) < 30:  # noqa: ASYNC110 - publishes take milliseconds
            await asyncio.sleep(0.005)
        before = len(said)
        words = ["--data", str(server.folder / "data"), str(tmp_path / "copy")]
        process = await asyncio.create_subprocess_exec(*BACK_UP, *words)
        assert await process.wait() == 0
        publishing.cancel()
        await asyncio.wait([publishing])
    server.close()
    server.flags = ("--data", str(tmp_path / "copy"))
    server.start()
    async with server.client() as api:
        events = await read(api, axon_id, before)
        head = (await api.get(f"/v1/axons/{axon_id}/events")).json()["total_count"]
        assert head >= before
        assert [event["payload"] for event in events] == [said[n + 1] for n in range(before)]
        assert (await publish(api, axon_id)).json()["sequence"] == head + 1
        assert (await sql(api, axon_id, "SELECT text FROM note")).json()["rows"] == [["kept"]]


def test_what_is_there_is_not_overwritten_and_what_is_not_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup.main(["--data", str(tmp_path / "none"), str(tmp_path / "copy")]) == 1
    assert "There is no journal in" in capsys.readouterr().err
    (tmp_path / FILE_NAME).touch()
    assert backup.main(["--data", str(tmp_path), str(tmp_path)]) == 1
    assert "is there already" in capsys.readouterr().err
    assert not (tmp_path / "copy").exists()


async def test_a_damaged_journal_makes_no_backup(server: ApiServer, tmp_path: Path) -> None:
    async with server.client() as api:
        axon_id = await create(api)
        for _ in range(50):
            await publish(api, axon_id, "x" * 2000)
    assert server.stop() == 0
    journal = server.folder / "data" / FILE_NAME
    content = bytearray(journal.read_bytes())
    for page in range(2, len(content) // 8192):
        content[page * 8192 : page * 8192 + 8] = b"\xff" * 8
    journal.write_bytes(content)
    with pytest.raises(JournalDamaged):
        backup.back_up(server.folder / "data", tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
