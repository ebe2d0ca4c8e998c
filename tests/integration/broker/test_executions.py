"""Executions and files with the published Python SDK: real API server, sidecar and launcher.

The devbox has no broker mount: its sidecar is there all the same.
"""

import asyncio
import contextlib
import inspect
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from axon_client import FACT_SECONDS_MAX
from broker_box import API_KEY, Box, Server
from published_sdks import PYTHON_VERSIONS, run_node, run_python, typescript_folder
from ranvier.events import devbox_id
from runloop_api_client import APIStatusError, AsyncRunloop
from runloop_api_client.sdk import AsyncDevbox

LINES = 100_000
FILE_BYTES = 20 * 1024 * 1024


class Bench:
    """A devbox without mounts, and the SDK's handle on it."""

    def __init__(self, box: Box) -> None:
        self.box = box
        self.id = devbox_id(box.uid)
        self.api = AsyncRunloop(bearer_token=API_KEY, base_url=box.server.url)
        self.devbox = AsyncDevbox(self.api, self.id)

    def home(self, name: str) -> Path:
        return self.box.folder / "home" / name

    async def sleep(self, idle_seconds: float = 0) -> Any:
        """What the operator asks when it thinks that the devbox is idle."""
        request = {"generation": self.box.generation, "idle_seconds": idle_seconds}
        return await self.box.as_operator("POST", f"devboxes/{self.box.uid}/sleep", request)

    async def output(self, execution_id: str, offset: int = 0) -> tuple[str, int]:
        """All of stdout from a byte on, as it is streamed, and the byte after it."""
        text, end = "", offset
        stream = await self.api.devboxes.executions.stream_stdout_updates(
            execution_id, devbox_id=self.id, offset=str(offset)
        )
        async for chunk in stream:
            assert chunk.offset is not None
            text, end = text + chunk.output, chunk.offset
        return text, end

    async def refused(self, asked: Awaitable[Any]) -> tuple[int, str]:
        with pytest.raises(APIStatusError) as caught:
            await asked
        assert isinstance(caught.value.body, dict)
        return caught.value.status_code, caught.value.body["code"]


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(FACT_SECONDS_MAX):
        while True:
            found = holds()
            if await found if inspect.isawaitable(found) else found:
                return
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def opened(box: Box) -> AsyncIterator[Bench]:
    async with box:
        box.start()
        bench = Bench(box)
        yield bench
        await bench.api.close()


@pytest.fixture
async def bench(server: Server, tmp_path: Path) -> AsyncIterator[Bench]:
    async with opened(Box(server, tmp_path, has_mount=False)) as bench:
        yield bench


async def test_a_command_runs_in_a_login_shell_at_home(bench: Bench) -> None:
    result = await bench.devbox.cmd.exec("pwd; echo $HOME; shopt -q login_shell && echo login")
    home = str(bench.home(""))
    assert (await result.stdout()).split() == [home.rstrip("/"), home.rstrip("/"), "login"]
    assert result.exit_code == 0
    failed = await bench.devbox.cmd.exec("echo oh no >/dev/stderr; exit 7")
    assert (failed.exit_code, await failed.stderr()) == (7, "oh no\n")


async def test_a_hundred_thousand_lines_arrive_as_they_are_written(bench: Bench) -> None:
    heard: list[str] = []
    script = f"i=0; while [ $i -lt {LINES} ]; do echo line-$i; i=$((i+1)); done"
    async with asyncio.timeout(60):
        result = await bench.devbox.cmd.exec(script, stdout=heard.append)
    wanted = "".join(f"line-{i}\n" for i in range(LINES))
    assert "".join(heard) == wanted
    assert len(heard) > 1  # not all at the end
    assert await result.stdout() == wanted
    assert await result.stdout(num_lines=2) == f"line-{LINES - 2}\nline-{LINES - 1}"


async def test_a_stream_goes_on_at_any_byte_and_cuts_no_character(bench: Bench) -> None:
    text = "für 5 €: 🙂\n" * 1000
    bench.home("text").write_text(text)
    started = await bench.api.devboxes.execute_async(bench.id, command="cat text")
    whole, end = await bench.output(started.execution_id)
    assert (whole, end) == (text, len(text.encode()))
    half = text[: len(text) // 2]
    rest, _ = await bench.output(started.execution_id, len(half.encode()))
    assert half + rest == text
    assert await bench.output(started.execution_id, end) == ("", end)


async def test_bytes_that_are_no_text_are_shown_as_such(bench: Bench) -> None:
    result = await bench.devbox.cmd.exec(r"printf 'a\377\000b'")
    assert await result.stdout() == "a\ufffd\0b"


async def test_an_answer_has_the_last_lines(bench: Bench) -> None:
    started = await bench.api.devboxes.execute_async(bench.id, command="seq 1 500")
    done = await bench.api.devboxes.executions.await_completed(
        started.execution_id, devbox_id=bench.id
    )
    assert (done.stdout or "").split()[0] == "401"
    assert done.stdout_truncated
    three = await bench.api.devboxes.executions.retrieve(
        started.execution_id, devbox_id=bench.id, last_n="3"
    )
    assert three.stdout == "498\n499\n500\n"
    all_of_it = await bench.api.devboxes.executions.retrieve(
        started.execution_id, devbox_id=bench.id, last_n="500"
    )
    assert ((all_of_it.stdout or "").count("\n"), all_of_it.stdout_truncated) == (500, False)


async def test_execute_waits_a_while_and_is_one_execution_however_often_it_is_sent(
    bench: Bench,
) -> None:
    command = "echo once >>log; sleep 0.3; echo done"
    first = await bench.api.devboxes.execute(
        bench.id, command=command, command_id="one", optimistic_timeout=0
    )
    assert (first.status, first.exit_status) == ("running", None)
    again = await bench.api.devboxes.execute(bench.id, command=command, command_id="one")
    assert (again.execution_id, again.status) == (first.execution_id, "completed")
    assert again.stdout == "done\n"
    same = [
        await bench.api.devboxes.execute_async(bench.id, command=command, idempotency_key="two")
        for _ in range(2)
    ]
    assert same[0].execution_id == same[1].execution_id
    await bench.api.devboxes.executions.await_completed(same[0].execution_id, devbox_id=bench.id)
    assert bench.home("log").read_text() == "once\nonce\n"


async def test_a_command_reads_what_is_sent_to_its_stdin(bench: Bench) -> None:
    execution = await bench.devbox.cmd.exec_async("cat; echo end", attach_stdin=True)
    await execution.send_std_in("one\n")
    await execution.send_std_in("two\n")
    assert (await execution.get_state()).status == "running"
    await execution.close_std_in()
    result = await execution.result()
    assert (await result.stdout(), result.exit_code) == ("one\ntwo\nend\n", 0)
    refused = bench.api.devboxes.executions.send_std_in(
        execution.execution_id, devbox_id=bench.id, text="late"
    )
    assert await bench.refused(refused) == (400, "stdin_closed")
    without = await bench.devbox.cmd.exec("cat; echo nothing")
    assert await without.stdout() == "nothing\n"


async def test_an_interrupt_and_a_kill_reach_all_that_a_command_started(bench: Bench) -> None:
    polite = await bench.devbox.cmd.exec_async(
        "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    )
    await until_output(bench, polite.execution_id, "ready\n")
    await bench.api.devboxes.executions.send_std_in(
        polite.execution_id, devbox_id=bench.id, signal="INTERRUPT"
    )
    assert (await polite.result()).exit_code == 3
    stubborn = await bench.devbox.cmd.exec_async("sleep 1000 & sleep 1000; true")
    await until(lambda: len(bench.box.agents()) >= 3)
    await stubborn.kill()
    assert (await stubborn.result()).exit_code == 137
    await until(lambda: bench.box.agents() == [])


async def until_output(bench: Bench, execution_id: str, text: str) -> None:
    async with asyncio.timeout(FACT_SECONDS_MAX):
        while True:
            state = await bench.api.devboxes.executions.retrieve(execution_id, devbox_id=bench.id)
            if (state.stdout or "").endswith(text):
                return


COUNT = "for i in $(seq 1 150); do echo $i; sleep 0.01; done"
COUNTED = "".join(f"{i}\n" for i in range(1, 151))


async def test_a_killed_sidecar_loses_no_output_and_no_command(bench: Bench) -> None:
    counting = await bench.devbox.cmd.exec_async(COUNT)
    asking = await bench.devbox.cmd.exec_async("cat; echo end", attach_stdin=True)
    short = await bench.devbox.cmd.exec_async("sleep 0.3; seq 1 20000; exit 5")
    for _ in range(3):
        await asyncio.sleep(0.2)
        bench.box.stop_broker(by=signal.SIGKILL)
        bench.box.start_broker()
    result = await counting.result()
    assert (await result.stdout(), result.exit_code) == (COUNTED, 0)
    ended = await short.result()
    assert (await ended.stdout(), ended.exit_code) == (
        "".join(f"{i}\n" for i in range(1, 20001)),
        5,
    )
    await asking.send_std_in("still there\n")
    await asking.close_std_in()
    assert await (await asking.result()).stdout() == "still there\nend\n"


async def test_a_command_that_ends_while_no_sidecar_is_there_is_told_whole(bench: Bench) -> None:
    execution = await bench.devbox.cmd.exec_async("sleep 0.2; seq 1 9000; touch over; exit 4")
    bench.box.stop_broker(by=signal.SIGKILL)
    await until(bench.home("over").exists)
    bench.box.start_broker()
    result = await execution.result()
    assert result.exit_code == 4
    assert await result.stdout() == "".join(f"{i}\n" for i in range(1, 9001))


async def test_a_command_goes_with_its_container_and_says_so(bench: Bench) -> None:
    execution = await bench.devbox.cmd.exec_async("echo here; sleep 1000")
    await until_output(bench, execution.execution_id, "here\n")
    bench.box.stop_launcher()
    bench.box.start_launcher()
    result = await execution.result()
    assert (result.exit_code in (137, 143), await result.stdout()) == (True, "here\n")
    assert await (await bench.devbox.cmd.exec("echo anew")).stdout() == "anew\n"


async def test_no_sleep_is_granted_while_a_command_runs_and_its_end_is_activity(
    bench: Bench,
) -> None:
    execution = await bench.devbox.cmd.exec_async("cat", attach_stdin=True)
    answer = await bench.sleep()
    assert (answer["granted"], answer["reason"]) == (False, "ExecutionRunning")
    bench.box.stop_broker(by=signal.SIGKILL)
    assert (await bench.sleep())["reason"] == "ExecutionRunning"
    bench.box.start_broker()
    await execution.close_std_in()
    await execution.result()

    async def is_activity() -> bool:
        return bool((await bench.sleep(3600))["reason"] == "RecentActivity")

    await until(is_activity)
    await bench.devbox.file.write(file_path="x", contents="y")
    assert (await bench.sleep())["granted"]
    refused = bench.api.devboxes.execute_async(bench.id, command="true")
    assert await bench.refused(refused) == (400, "wrong_state")


async def test_files_go_there_and_back(bench: Bench) -> None:
    content = bytes(range(256)) * (FILE_BYTES // 256)
    async with asyncio.timeout(60):
        await bench.devbox.file.upload(path="deep/down/file.bin", file=content)
        assert bench.home("deep/down/file.bin").read_bytes() == content
        assert await bench.devbox.file.download(path="~/deep/down/file.bin") == content
    text = "zwei Zeilen\n'und' \"Zeichen\" $HOME `x` \\\n"
    await bench.devbox.file.write(file_path=str(bench.home("a file")), contents=text)
    assert bench.home("a file").read_text() == text
    assert await bench.devbox.file.read(file_path="a file") == text
    await bench.devbox.file.upload(path="empty", file=b"")
    assert await bench.devbox.file.download(path="empty") == b""


async def test_an_upload_that_breaks_off_changes_nothing(bench: Bench) -> None:
    bench.home("kept").write_text("as it was")
    body = b'--b\r\ncontent-disposition: form-data; name="path"\r\n\r\nkept\r\n'
    body += b'--b\r\ncontent-disposition: form-data; name="file"\r\n\r\n' + b"x" * 100_000
    headers = {
        "authorization": f"Bearer {API_KEY}",
        "content-type": "multipart/form-data; boundary=b",
    }
    answer = await bench.box.http.post(
        f"/v1/devboxes/{bench.id}/upload_file", content=body, headers=headers
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")

    async def is_idle() -> bool:
        return bool((await bench.sleep(3600))["reason"] == "RecentActivity")

    await until(is_idle)
    assert [(path.name, path.read_text()) for path in bench.home("").iterdir()] == [
        ("kept", "as it was")
    ]


async def test_a_file_keeps_its_mode_when_it_is_written_anew(bench: Bench) -> None:
    await bench.devbox.cmd.exec("echo old >tool; chmod 755 tool; ln -s tool link")
    await bench.devbox.file.write(file_path="link", contents="new")
    assert bench.home("link").is_symlink()
    assert bench.home("tool").read_text() == "new"
    assert bench.home("tool").stat().st_mode & 0o777 == 0o755
    assert sorted(p.name for p in bench.home("").iterdir()) == ["link", "tool"]


async def test_what_is_not_there_is_a_404_at_once(bench: Bench) -> None:
    files = bench.api.devboxes
    assert await bench.refused(files.read_file_contents(bench.id, file_path="nowhere")) == (
        404,
        "not_found",
    )
    folder = files.download_file(bench.id, path="/")
    assert await bench.refused(folder) == (400, "bad_request")
    for contents in ("", "x" * 2_000_000):
        # The command that writes has long ended when the last piece of the second comes.
        blocked = files.write_file_contents(bench.id, file_path="/dev/null/x", contents=contents)
        assert await bench.refused(blocked) == (400, "bad_request")
    unknown = bench.api.devboxes.executions.retrieve("exe_0", devbox_id=bench.id)
    assert await bench.refused(unknown) == (404, "execution_not_found")
    elsewhere = bench.api.devboxes.execute_async("dbx_none", command="true")
    assert await bench.refused(elsewhere) == (404, "not_found")


async def test_wait_for_status_is_a_408_when_its_time_is_over(bench: Bench) -> None:
    execution = await bench.devbox.cmd.exec_async("sleep 1000")
    url = f"/v1/devboxes/{bench.id}/executions/{execution.execution_id}/wait_for_status"
    headers = {"authorization": f"Bearer {API_KEY}"}
    body = {"statuses": ["completed"], "timeout_seconds": 0.05}
    answer = await bench.box.http.post(url, json=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (408, "wait_expired")
    listed = await bench.box.http.get(f"/v1/devboxes/{bench.id}/executions", headers=headers)
    [only] = listed.json()["executions"]
    assert (only["execution_id"], only["status"]) == (execution.execution_id, "running")
    await execution.kill()


async def test_an_execution_outlives_the_api_server(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    server = Server(tmp_path / "server")
    try:
        async with opened(Box(server, tmp_path / "box", has_mount=False)) as bench:
            counting = await bench.devbox.cmd.exec_async(COUNT)
            heard, offset = "", 0
            with contextlib.suppress(httpx.HTTPError):
                stream = await bench.api.devboxes.executions.stream_stdout_updates(
                    counting.execution_id, devbox_id=bench.id
                )
                async for chunk in stream:
                    assert chunk.offset is not None
                    heard, offset = heard + chunk.output, chunk.offset
                    if len(heard) > 40 and server.process.poll() is None:
                        server.kill()
            assert heard != COUNTED
            server.start()
            rest, _ = await bench.output(counting.execution_id, offset)
            assert heard + rest == COUNTED
            assert (await counting.result()).exit_code == 0
    finally:
        server.kill()


async def test_the_published_typescript_sdk_runs_commands_and_moves_files(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = typescript_folder(tmp_path_factory.mktemp("typescript"))
    environment = {"RUNLOOP_BASE_URL": bench.box.server.url, "RUNLOOP_API_KEY": API_KEY}
    await run_node(folder, "execution_journeys.mjs", bench.id, **environment)


@PYTHON_VERSIONS
async def test_each_published_python_sdk_runs_commands_and_moves_files(
    bench: Bench, version: str
) -> None:
    environment = {"RUNLOOP_BASE_URL": bench.box.server.url, "RUNLOOP_API_KEY": API_KEY}
    await run_python("runloop_execution_journeys.py", version, bench.id, **environment)
