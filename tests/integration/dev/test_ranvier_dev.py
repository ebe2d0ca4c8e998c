"""`ranvier-dev` as a user runs it: turns, sleep, wake, and nothing left behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

REPOSITORY = Path(__file__).parents[3]
AGENT = REPOSITORY / "tests" / "support" / "scripted_acp_agent.py"
FACT_SECONDS_MAX = 60.0


def manifests(idle_seconds: int) -> str:
    broker_mount = {
        "axonRef": {"name": "fixer"},
        "protocol": "acp",
        "agentBinary": sys.executable,
        "launchArgs": [str(AGENT)],
    }
    lifecycle = {
        "resumeTriggers": {"axonEvent": True},
        "afterIdle": {"idleTimeSeconds": idle_seconds, "onIdle": "Suspend"},
    }
    specs: dict[str, Any] = {
        "Axon": {},
        "Blueprint": {"image": "none"},
        "Devbox": {
            "blueprintName": "fixer",
            "mounts": [{"brokerMount": broker_mount}],
            "lifecycle": lifecycle,
        },
    }
    return yaml.safe_dump_all(
        {
            "apiVersion": "ranvier.dev/v1alpha1",
            "kind": kind,
            "metadata": {"name": "fixer"},
            "spec": spec,
        }
        for kind, spec in specs.items()
    )


class Dev:
    """One `ranvier-dev` at a time on one folder."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self._output = folder / "output"
        self._manifest = folder / "fixer.yaml"
        self._manifest.write_text(manifests(idle_seconds=1))

    def here(self, commands: str) -> str:
        """The page's commands for this folder and port."""
        url = str(self.http.base_url).rstrip("/")
        return commands.replace("http://127.0.0.1:8080", url).replace(".ranvier/", f"{self.state}/")

    async def start(self, *flags: str, environment: dict[str, str] | None = None) -> None:
        command = [sys.executable, "-m", "ranvier_dev", "--state", str(self.state), "--port", "0"]
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
                [*command, *flags], stdout=output, stderr=subprocess.STDOUT, env=environment
            )
        said = await self.until("ready", self._says_ready)
        variables = dict(w.split("=", 1) for w in said.split() if w.startswith("RANVIER_"))
        headers = {"authorization": f"Bearer {variables['RANVIER_API_KEY']}"}
        self.http = httpx.AsyncClient(
            base_url=variables["RANVIER_BASE_URL"], headers=headers, trust_env=False, timeout=15
        )

    async def apply(self) -> None:
        await self.start("--apply", str(self._manifest))
        self.axon_id = await self.until("axon", self.axon)

    async def _says_ready(self) -> str:
        said = self._output.read_text()
        assert self.process.poll() is None, said
        return said if "Devboxes run as you" in said else ""

    async def axon(self) -> str:
        axons = (await self.http.get("/v1/axons")).json()["axons"]
        return str(axons[0]["id"]) if axons else ""

    async def stop(self, number: int = signal.SIGINT) -> int:
        await self.http.aclose()
        self.process.send_signal(number)
        return await asyncio.to_thread(self.process.wait, 30)

    async def say(self, text: str) -> int:
        event = {"source": "test", "origin": "USER_EVENT", "event_type": "user.message"}
        body = {**event, "payload": json.dumps({"content": text})}
        answer = await self.http.post(f"/v1/axons/{self.axon_id}/publish", json=body)
        return int(answer.json()["sequence"])

    async def events(self, event_type: str, after: int = 0) -> list[Any]:
        answer = await self.http.get(f"/v1/axons/{self.axon_id}/events", params={"limit": 500})
        found = [e for e in answer.json()["events"] if e["event_type"] == event_type]
        return [e for e in reversed(found) if e["sequence"] > after]

    async def seen(self, event_type: str, after: int = 0) -> Any:
        async def look() -> Any:
            return await self.events(event_type, after)

        return json.loads((await self.until(event_type, look))[0]["payload"])

    async def until(self, what: str, look: Any) -> Any:
        deadline = time.monotonic() + FACT_SECONDS_MAX
        while not (found := await look()):
            assert time.monotonic() < deadline, f"not seen: {what}\n{self._output.read_text()}"
            await asyncio.sleep(0.05)
        return found

    def processes(self) -> list[str]:
        """Command lines of everything that runs for this folder."""
        found = []
        for entry in Path("/proc").glob("[0-9]*/environ"):
            try:
                if str(self.state).encode() in entry.read_bytes():
                    found.append(entry.with_name("cmdline").read_bytes().decode())
            except OSError:
                continue
        return found


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
