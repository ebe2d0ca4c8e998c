"""`ranvier-dev` as a user runs it: turns, sleep, wake, and nothing left behind."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from dev_place import AGENT, FACT_SECONDS_MAX, REPOSITORY, Dev


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    dev = Dev(tmp_path)
    yield dev
    if dev.process.poll() is None:
        await dev.stop(signal.SIGTERM)


async def test_a_devbox_runs_sleeps_and_wakes_and_goes_on_after_a_restart(dev: Dev) -> None:
    await dev.apply()
    first = await dev.say("[[say Marmalade.]]")
    assert (await dev.seen("turn.message_chunk", first))["content"] == "Marmalade."
    assert (await dev.seen("devbox.suspended", first))["reason"] == "idle"
    second = await dev.say("[[history]]")
    assert "Marmalade" in (await dev.seen("turn.message_chunk", second))["content"]
    await dev.seen("devbox.suspended", second)
    assert await dev.stop() == 0
    assert dev.processes() == []

    await dev.start()
    third = await dev.say("[[history]]")
    assert "Marmalade" in (await dev.seen("turn.message_chunk", third))["content"]
    assert await dev.stop(signal.SIGTERM) == 0


async def test_after_kill_9_nothing_runs_on_and_the_next_start_goes_on(dev: Dev) -> None:
    await dev.apply()
    first = await dev.say("[[slow 200 100]]")
    await dev.seen("turn.message_chunk", first)
    await dev.stop(signal.SIGKILL)

    async def nothing_left() -> bool:
        return dev.processes() == []

    await dev.until("no process left", nothing_left)
    await dev.start()
    await dev.seen("turn.failed", first)
    second = await dev.say("[[say Again.]]")
    assert (await dev.seen("turn.message_chunk", second))["content"] == "Again."
    assert len(await dev.events("turn.started", first)) == 2


async def test_a_folder_that_is_in_use_is_not_taken_twice(dev: Dev) -> None:
    await dev.start()
    second = await asyncio.to_thread(run, "--state", str(dev.state))
    assert second.returncode == 1
    assert "is in use by another ranvier-dev; stop it, or choose another --state" in second.stderr


async def test_the_ranvier_command_finds_it_on_whatever_port_it_listens(dev: Dev) -> None:
    await dev.apply()
    command = [sys.executable, "-m", "ranvier.cli", "axon", "list", "-q"]
    named = {"RANVIER_BASE_URL": "", "RANVIER_API_KEY": "", "RANVIER_DEV_STATE": str(dev.state)}
    listed = await asyncio.to_thread(
        subprocess.run, command, env={**os.environ, **named}, capture_output=True, text=True
    )
    assert listed.stdout == f"{dev.axon_id}\n", listed.stderr


async def test_the_commands_of_its_page_do_what_it_says(dev: Dev, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "dev.md").read_text()
    [manifest] = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    start, talk = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    (tmp_path / "fixer.yaml").write_text(manifest)
    agent = tmp_path / "bin" / "opencode"
    agent.parent.mkdir()
    agent.write_text(f"#!/bin/sh\nexec {sys.executable} {AGENT}\n")
    agent.chmod(0o755)
    programs = os.pathsep.join((str(agent.parent), str(Path(sys.executable).parent)))
    environment = {**os.environ, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    assert start.split() == ["ranvier-dev", "--apply", "fixer.yaml"]
    await dev.start("--apply", str(tmp_path / "fixer.yaml"), environment=environment)
    await dev.until("axon", dev.axon)
    said = await asyncio.to_thread(
        subprocess.run,
        ["sh", "-eu", "-c", dev.here(talk).replace("--max-time 30", "--max-time 8")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "turn.started" in said.stdout


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ranvier_dev", *flags],
        capture_output=True,
        text=True,
        check=False,
        timeout=FACT_SECONDS_MAX,
        env=dict(os.environ),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind: Devbox", "a document is no object with a metadata.name"),
        ("{apiVersion: apps/v1, kind: Deployment, metadata: {name: x}}", "means nothing here"),
        (
            "{apiVersion: ranvier.dev/v1alpha1, kind: Devbox, metadata: {name: x}, "
            "spec: {mounts: 3}}",
            "x: Devbox is invalid: spec.mounts",
        ),
        ("a: [", "while parsing"),
    ],
)
def test_a_wrong_manifest_is_refused_with_its_place(
    tmp_path: Path, text: str, sentence: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    flags = ("--state", str(tmp_path / "state"), "--port", "0", "--apply")
    done = run(*flags, str(tmp_path / "x.yaml"))
    assert done.returncode == 1
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_with_spaces_is_refused_at_once(tmp_path: Path) -> None:
    done = run("--state", str(tmp_path / "a b"))
    assert done.returncode == 2
    assert "the path must have no spaces" in done.stderr
