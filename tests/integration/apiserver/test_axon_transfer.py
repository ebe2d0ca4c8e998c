"""An axon goes out as JSON lines and comes in again as the same history."""

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
from api_process import KEY, READER, ApiServer, Box, create, publish


async def exported(api: httpx.AsyncClient, axon: str, **params: Any) -> list[dict[str, Any]]:
    answer = await api.get(f"/v1/axons/{axon}/export", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def as_lines(events: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


async def import_into(
    api: httpx.AsyncClient, axon: str, content: bytes | AsyncIterator[bytes]
) -> httpx.Response:
    return await api.post(f"/v1/axons/{axon}/import", content=content)


async def fill(api: httpx.AsyncClient, axon: str, count: int) -> None:
    event = {"origin": "USER_EVENT", "source": "s", "event_type": "user.message"}
    for start in range(0, count, 1000):
        batch = [{**event, "payload": f'"{n}" ✓'} for n in range(start, min(count, start + 1000))]
        answer = await api.post(f"/v1/axons/{axon}/publish", json=batch)
        assert answer.status_code == 200, answer.text


def history(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """All of an event but which axon it is on."""
    return [{key: event[key] for key in event if key != "axon_id"} for event in events]


async def test_an_axon_is_the_same_after_export_and_import(api: httpx.AsyncClient) -> None:
    source, copy = await create(api), await create(api)
    await fill(api, source, 2300)
    lines = await exported(api, source)
    assert [line["sequence"] for line in lines] == list(range(1, 2301))
    answer = await import_into(api, copy, as_lines(lines))
    assert answer.json() == {"imported": 2300, "skipped": 0, "head": 2300}
    assert history(await exported(api, copy)) == history(lines)
    assert history(await exported(api, copy, after_sequence=2299)) == history(lines[-1:])
    # It goes on from there.
    assert (await publish(api, copy)).json()["sequence"] == 2301


async def test_an_empty_axon_is_exported_and_imported(api: httpx.AsyncClient) -> None:
    axon = await create(api)
    assert await exported(api, axon) == []
    answer = await import_into(api, axon, b"\n\n")
    assert answer.json() == {"imported": 0, "skipped": 0, "head": 0}
    assert (await api.get("/v1/axons/axn_none/export")).status_code == 404
    assert (await import_into(api, "axn_none", b"")).status_code == 404


async def test_an_import_that_broke_off_is_sent_again(server: ApiServer) -> None:
    """The server is killed under it: whole batches stay, and the same lines go on after them."""
    async with server.client() as api:
        source, copy = await create(api), await create(api)
        await fill(api, source, 3000)
        lines = as_lines(await exported(api, source))

        async def half() -> AsyncIterator[bytes]:
            yield lines[: len(lines) // 2]
            while not (await api.get(f"/v1/axons/{copy}/events")).json()["total_count"]:
                pass
            server.kill()
            yield lines[len(lines) // 2 :]

        async with server.client() as sending:
            with contextlib.suppress(httpx.TransportError):
                await import_into(sending, copy, half())
    server.start()
    async with server.client() as api:
        kept = (await api.get(f"/v1/axons/{copy}/events")).json()["total_count"]
        assert 0 < kept < 3000
        answer = await import_into(api, copy, lines)
        assert answer.json() == {"imported": 3000 - kept, "skipped": kept, "head": 3000}
        assert history(await exported(api, copy)) == history(await exported(api, source))


async def test_lines_that_do_not_follow_are_refused_by_number(api: httpx.AsyncClient) -> None:
    source, copy = await create(api), await create(api)
    await fill(api, source, 10)
    lines = await exported(api, source)
    for wrong, says in (
        ([lines[1]], "line 1: sequence 2 can not follow 0"),
        ([lines[0], lines[2]], "line 2: sequence 3 can not follow 1"),
        ([{**lines[0], "origin": "NOBODY"}], "line 1: origin"),
        ([{**lines[0], "payload": 5}], "line 1: payload"),
    ):
        answer = await import_into(api, copy, as_lines(wrong))
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")
        assert says in answer.json()["message"]
    answer = await import_into(api, copy, b"{")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert await exported(api, copy) == []
    # An axon with a history of its own is not added to.
    await publish(api, copy, "mine")
    answer = await import_into(api, copy, as_lines(lines))
    assert "holds another event at sequence 1" in answer.json()["message"]
    assert len(await exported(api, copy)) == 1


async def test_imported_history_is_no_work_for_an_agent(api: httpx.AsyncClient, box: Box) -> None:
    source, copy = await create(api), await create(api)
    await fill(api, source, 5)
    lines = as_lines(await exported(api, source))
    assert (await import_into(api, copy, lines)).status_code == 200
    view = await box.bind(copy)
    assert (view["mount_views"][0]["unread"], view["mount_views"][0]["cursor"]) == (False, 5)
    refused = await import_into(api, copy, lines + lines)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_field")
    mounted = await create(api)
    await box.bind(mounted)
    refused = await import_into(api, mounted, lines)
    assert (refused.status_code, refused.json()["code"]) == (422, "axon_mounted")


async def test_importing_takes_a_scope_of_its_own(server: ApiServer) -> None:
    writer = "key-of-a-writer-0123456789"
    keys = server.folder / "keys"
    keys.write_text(f"{KEY}\n{READER} axons:read\n{writer} axons:read,axons:write\n")
    server.kill()
    server.start()
    async with server.client(writer) as api:
        axon = await create(api)
        refused = await import_into(api, axon, b"")
        assert refused.status_code == 403
        assert "axons:import" in refused.json()["message"]
        assert (await api.get(f"/v1/axons/{axon}/export")).status_code == 200
