"""Seed 001: the announcement's examples, verbatim, in TypeScript with Runloop's published client.

`ranvier-dev` is what they talk to: REST makes the devbox, the operator its pod, which is broker,
launcher and agent on this machine. Only the agent is scripted. The remote agents SDK that the
examples import is in no registry; `tests/support/typescript/remote-agents-sdk` stands in for it.
"""

import asyncio
import os
import re
import shlex
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import published_sdks
import pytest
from snippets import SEEDS, blocks

PAGE = SEEDS / "001_remote_agents.md"
AGENT = Path(published_sdks.__file__).with_name("scripted_acp_agent.py")
READY_SECONDS_MAX = 90.0
BLUEPRINT = """\
apiVersion: ranvier.dev/v1alpha1
kind: Blueprint
metadata: {name: axon-agents}
spec: {image: none}
"""


@asynccontextmanager
async def ranvier_dev(folder: Path) -> AsyncIterator[dict[str, str]]:
    """All of Ranvier on this machine, whose `opencode` is the scripted agent; yields how to reach
    it, as Runloop's clients read it from the environment."""
    programs = folder / "bin"
    programs.mkdir()
    answer = "[[tool ls]] [[say The parser fails.]]"
    script = f"#!/bin/sh\nSCRIPTED_ANSWER={shlex.quote(answer)} exec {sys.executable} {AGENT}\n"
    (programs / "opencode").write_text(script)
    (programs / "opencode").chmod(0o755)
    (folder / "blueprint.yaml").write_text(BLUEPRINT)
    command = [sys.executable, "-m", "ranvier_dev", "--state", str(folder / "state")]
    command += ["--port", "0", "--apply", str(folder / "blueprint.yaml")]
    process = await asyncio.create_subprocess_exec(
        *command,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout is not None
    try:
        said = ""
        async with asyncio.timeout(READY_SECONDS_MAX):
            while "Devboxes run as you" not in said:
                line = await process.stdout.readline()
                assert line, said
                said += line.decode()
        found = dict(re.findall(r"export RANVIER_(\w+)=(\S+)", said))
        yield {f"RUNLOOP_{name}": value for name, value in found.items()}
    finally:
        process.send_signal(signal.SIGINT)
        await process.communicate()


def examples(folder: Path) -> Path:
    """A folder where the examples can be run: what they import is found from there."""
    place = published_sdks.typescript_folder(folder) / "examples"
    ours = published_sdks.TYPESCRIPT
    stand_in = place / "node_modules" / "@runloop" / "remote-agents-sdk"
    shutil.copytree(ours / "remote-agents-sdk", stand_in)
    shutil.copy(ours / "run_example.mjs", place)
    return place


async def run(place: Path, heading: str, surroundings: dict[str, str]) -> str:
    """Run an example; returns what it prints."""
    [text] = blocks(PAGE, heading, "typescript")
    (place / "example.ts").write_text(text)
    command = "node run_example.mjs example.ts > said"
    await published_sdks.run_process(place, "sh", "-c", command, **surroundings)
    return (place / "said").read_text()


@pytest.mark.slow
async def test_the_examples_of_the_announcement(tmp_path: Path) -> None:
    place = examples(tmp_path)
    async with ranvier_dev(tmp_path) as surroundings:
        said = await run(place, "A conversation", surroundings)
        lines = said.splitlines()
        sequences = [int(line.split()[1].rstrip(":")) for line in lines]
        assert sequences == list(range(1, len(lines) + 1))
        assert any("[acp_protocol] session/update" in line for line in lines)
        assert lines[-1].endswith("[system] turn.completed")

        said = await run(place, "Suspend and resume", surroundings)
        shown = dict(re.findall(r"^(.*): (\S+)$", said, re.MULTILINE))
        assert shown["Session created"] == shown["Session ID"]
        last, resumed = shown["Last sequence"], shown["Resumed session complete. New last sequence"]
        assert int(resumed) > int(last)
