"""The broker as a program: its help, its exit statuses, its answer to the kubelet."""

import asyncio
import json
import subprocess
import sys
import time

import httpx
from axon_client import FACT_SECONDS_MAX
from broker_box import Box
from ranvier_dev.ports import free_port


def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "ranvier_broker", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_help_names_every_variable() -> None:
    told = run("--help")
    assert told.returncode == 0
    for name in ("RANVIER_API_URL", "RANVIER_MOUNTS", "RANVIER_TOKEN_FILE"):
        assert name in told.stdout


def test_a_wrong_environment_is_status_2_and_named() -> None:
    told = run()
    assert told.returncode == 2
    assert told.stderr.startswith("ranvier-broker: RANVIER_API_URL is not set")


def test_starting_imports_nothing_heavy() -> None:
    """It is on the way of every wake."""
    code = (
        "import sys, ranvier_broker.__main__, ranvier_broker.journal; "
        "print([m for m in ('pydantic', 'httpx', 'httpcore', 'anyio') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "[]\n"


async def status_of(port: int) -> int | None:
    async with httpx.AsyncClient(trust_env=False) as client:
        try:
            return (await client.get(f"http://127.0.0.1:{port}/")).status_code
        except httpx.HTTPError:
            return None


async def becomes(port: int, status: int) -> None:
    deadline = time.monotonic() + FACT_SECONDS_MAX
    while (seen := await status_of(port)) != status:
        assert time.monotonic() < deadline, f"readiness says {seen}, not {status}"
        await asyncio.sleep(0.02)


async def test_it_is_ready_when_its_agent_is(box: Box) -> None:
    box.ready_port = free_port()
    async with box:
        box.start_broker()
        await becomes(box.ready_port, 503)
        box.start_launcher()
        await becomes(box.ready_port, 200)
        box.stop_launcher()
        await becomes(box.ready_port, 503)


async def test_a_refused_append_is_status_1(box: Box) -> None:
    """The journal knows better than this broker: a new one attaches and starts from there."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        body = json.dumps({"epoch": 1, "cursor": 0, "control_cursor": 0, "state": {}})
        if "/append" in head:
            body, status = "{}", "422 Unprocessable"
        elif "/attach" in head:
            status = "200 OK"
        else:
            status = "500 Broken"
        length = f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        writer.write(f"HTTP/1.1 {status}\r\n{length}{body}".encode())
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    box.api_url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    async with box:
        box.start()
        assert box.broker is not None
        assert await asyncio.to_thread(box.broker.wait, FACT_SECONDS_MAX) == 1
        assert "refused" in box.log
        assert box.agents() == []
    listening.close()
    await listening.wait_closed()


async def test_it_waits_for_a_journal_that_is_not_there_and_still_stops_at_once(box: Box) -> None:
    box.api_url = f"http://127.0.0.1:{free_port()}"
    box.ready_port = free_port()
    async with box:
        box.start()
        await becomes(box.ready_port, 503)
        begun = time.monotonic()
        assert box.stop_broker() == 0
        assert time.monotonic() - begun < 1.5
