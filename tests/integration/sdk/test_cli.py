"""The `ranvier` command as its users run it: processes, pipes, exit codes."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from axon_client import FACT_SECONDS_MAX
from broker_box import API_KEY, Box, Server
from ranvier import AsyncRanvier
from terminal import unread

COMMAND = [sys.executable, "-m", "ranvier.cli"]
Cli = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def cli(server: Server, tmp_path: Path) -> Cli:
    """Runs a command; `status` is the exit code that it must have."""

    def run(
        *arguments: str, status: int = 0, text: str = "", **more: str
    ) -> subprocess.CompletedProcess[str]:
        env = {"RANVIER_BASE_URL": server.url, "RANVIER_API_KEY": API_KEY, **more}
        done = subprocess.run(
            [*COMMAND, *arguments],
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path), **env},
            input=text,
            capture_output=True,
            text=True,
            timeout=FACT_SECONDS_MAX,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


def test_an_axon_is_made_filled_read_and_deleted(cli: Cli) -> None:
    axon = cli("axon", "create", "by-hand", "--metadata", "team=a").stdout.strip()
    listed = cli("axon", "list", "--name", "by-hand").stdout.splitlines()
    assert listed[0].split() == ["ID", "NAME", "CREATED", "AT", "DELETED", "AT", "METADATA"]
    assert listed[1].split()[:2] == [axon, "by-hand"]
    assert cli("axon", "publish", axon, "user.message", '{"content": "hi"}').stdout == "1\n"
    raw = 'not {json}\n  "ä"'
    done = cli("axon", "publish", axon, "push", "-", "--origin", "external", "-o", "json", text=raw)
    assert json.loads(done.stdout)["sequence"] == 2
    [event] = cli("axon", "events", axon, "--limit", "1", "-o", "json").stdout.splitlines()
    shown = json.loads(event)
    assert (shown["payload"], shown["origin"]) == (raw, "EXTERNAL_EVENT")
    assert "\x1b" not in cli("axon", "events", axon).stdout, "no colours but on a terminal"
    tailed = cli("axon", "tail", axon, "--after", "0", "--until", "push").stdout
    assert [line.split()[0] for line in tailed.splitlines()] == ["1", "2"]
    cli("axon", "delete", axon, status=130)  # nobody said yes
    cli("axon", "delete", axon, "--yes")
    assert json.loads(cli("axon", "get", axon, "-o", "json").stdout)["deleted_at_ms"]


def test_failures_are_one_sentence_and_an_exit_code(cli: Cli) -> None:
    lost = cli("axon", "get", "axn_none", status=4).stderr
    assert lost.startswith("error: There is no axon 'axn_none'.")
    assert "ranvier axon list" in lost
    away = cli("axon", "list", status=3, RANVIER_BASE_URL="http://127.0.0.1:9").stderr
    assert "Nothing answers at http://127.0.0.1:9" in away
    assert "ranvier serve" in away
    assert "Set RANVIER_API_KEY" in cli("axon", "list", status=3, RANVIER_API_KEY="").stderr
    assert "Set RANVIER_API_KEY" in cli("axon", "list", status=3, RANVIER_API_KEY="wrong").stderr
    assert "No such command" in cli("axon", "bogus", status=2).stderr
    assert "KEY=VALUE" in cli("axon", "create", "x", "--metadata", "team", status=2).stderr


def test_a_reader_that_has_read_enough_is_no_failure(server: Server, cli: Cli) -> None:
    axon = cli("axon", "create").stdout.strip()
    cli("axon", "publish", axon, "t")
    env = {**os.environ, "RANVIER_BASE_URL": server.url, "RANVIER_API_KEY": API_KEY}
    done = unread([*COMMAND, "axon", "events", axon], env)
    assert (done.returncode, done.stderr) == (0, "")


def test_help_shows_examples_and_exit_codes_and_shells_are_completed(cli: Cli) -> None:
    text = cli("--help").stdout
    assert "Exit codes:" in text
    assert "130  interrupted" in text
    assert "ranvier axon publish AXON push" in cli("axon", "publish", "--help").stdout
    words = {"COMP_WORDS": "ranvier ax", "COMP_CWORD": "1"}
    completed = cli(_RANVIER_COMPLETE="complete_bash", **words)
    assert completed.stdout.split() == ["axon"]


async def test_verify_is_content_with_what_the_broker_writes(
    server: Server, cli: Cli, tmp_path: Path
) -> None:
    async with Box(server, tmp_path) as box:
        box.start()
        for text in ("[[say one]]", "[[tool look]] [[say two]]", "[[fail no]]"):
            await box.ended(await box.publish("user.message", {"content": text}))
        done = cli("verify", box.axon_id, "--idle")
    assert done.stdout == ""
    assert "3 turns: no broken promises." in done.stderr


async def test_verify_names_what_is_wrong(ranvier: AsyncRanvier, cli: Cli) -> None:
    axon = await ranvier.axons.create()
    # Nobody but a broker can write what a broker writes, except for its agent's words.
    await ranvier.axons.publish(
        axon.id, "turn.message_chunk", "{}", origin="AGENT_EVENT", source="broker"
    )
    done = cli("verify", axon.id, "-o", "json", status=5)
    assert json.loads(done.stdout)["problem"] == "outside_turn"
    assert "1 events, 0 turns: 1 broken promises." in done.stderr


def test_serve_makes_a_key_tells_the_way_and_keeps_what_was_published(
    cli: Cli, tmp_path: Path
) -> None:
    axon = ""
    for attempt in range(2):
        command = [*COMMAND, "serve", "--data", str(tmp_path / "data"), "--port", "0", "-o", "json"]
        with running(command, dict(os.environ)) as served:
            assert served.stdout is not None
            told = json.loads(served.stdout.readline())
            reach = {"RANVIER_BASE_URL": told["base_url"], "RANVIER_API_KEY": told["api_key"]}
            axon = axon or cli("axon", "create", **reach).stdout.strip()
            published = cli("axon", "publish", axon, "t", **reach)
            assert published.stdout == f"{attempt + 1}\n"
            unnamed = {"RANVIER_BASE_URL": "", "RANVIER_API_KEY": ""}
            here = {"RANVIER_DEV_STATE": str(tmp_path / "data"), **unnamed}
            assert cli("axon", "list", "-q", **here).stdout == f"{axon}\n"
            served.send_signal(signal.SIGTERM)
            assert served.wait(FACT_SECONDS_MAX) == 0
    assert (tmp_path / "data" / "api-key").stat().st_mode & 0o777 == 0o600


def test_a_local_server_needs_no_settings_but_its_key_goes_nowhere_else(
    cli: Cli, tmp_path: Path
) -> None:
    (tmp_path / "ranvier").mkdir()
    (tmp_path / "ranvier" / "api-key").write_text("rnv_0123456789abcdef")
    nothing = {"RANVIER_API_KEY": ""}
    named = cli("axon", "list", status=3, RANVIER_BASE_URL="http://127.0.0.1:9", **nothing)
    assert "There is no API key" in named.stderr
    bare = cli("axon", "list", status=3, RANVIER_BASE_URL="", **nothing).stderr
    assert "There is no API key" not in bare


@pytest.fixture
def ctrl_c_works() -> Iterator[None]:
    """A process started in the background inherits that it ignores SIGINT, and so would ours."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def running(command: list[str], env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is gone afterwards, whatever happened."""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        # Whoever reads its output must not wait for ever either.
        timer = threading.Timer(3 * FACT_SECONDS_MAX, process.kill)
        timer.start()
        try:
            yield process
        finally:
            timer.cancel()
            process.kill()


@pytest.mark.usefixtures("ctrl_c_works")
def test_tail_outlives_the_server_and_ends_by_ctrl_c(own_server: Server) -> None:
    env = {"RANVIER_BASE_URL": own_server.url, "RANVIER_API_KEY": API_KEY}
    every = {**os.environ, **env}
    made = subprocess.run([*COMMAND, "axon", "create"], env=every, capture_output=True, check=True)
    axon = made.stdout.decode().strip()
    command = [*COMMAND, "axon", "tail", axon, "--after", "0", "-o", "json"]
    with running(command, every) as tail:
        assert tail.stdout is not None
        for sequence in (1, 2):
            publish = [*COMMAND, "axon", "publish", axon, "t"]
            subprocess.run(publish, env=every, check=True, stdout=subprocess.DEVNULL)
            assert json.loads(tail.stdout.readline())["sequence"] == sequence
            own_server.kill()
            own_server.start()
        tail.send_signal(signal.SIGINT)
        assert tail.wait(FACT_SECONDS_MAX) == 130
