"""What docs/sdk.md and docs/cli.md show is run: programs as they stand, commands in one shell."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broker_box import API_KEY, Box, Server

DOCS = Path(__file__).resolve().parents[3] / "docs"
RUN_SECONDS_MAX = 60.0


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.S | re.M)


PROGRAMS = blocks((DOCS / "sdk.md").read_text(encoding="utf-8"), "python")
COMMANDS, TALK = (DOCS / "cli.md").read_text(encoding="utf-8").split("## Talk to an agent")


def run(command: list[str], server: Server, folder: Path, **more: str) -> str:
    own = {"RANVIER_BASE_URL": server.url, "RANVIER_API_KEY": API_KEY}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **own, "PATH": path, **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_every_program_in_the_sdk_guide_runs(number: int, server: Server, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAMS[number], encoding="utf-8")
    run([sys.executable, "-W", "error", "program.py"], server, tmp_path)


def test_the_commands_in_the_guide_to_the_command_line_run(server: Server, tmp_path: Path) -> None:
    script = "\n".join(["set -euo pipefail", *blocks(COMMANDS, "sh")])
    printed = run(["bash", "-c", script], server, tmp_path)
    assert "user.message" in printed


async def test_the_talk_in_the_guide_to_the_command_line_runs(
    server: Server, tmp_path: Path
) -> None:
    script = "\n".join(["set -euo pipefail", *blocks(TALK, "sh")])
    async with Box(server, tmp_path) as box:
        box.start()
        await asyncio.to_thread(run, ["bash", "-c", script], server, tmp_path, AXON=box.axon_id)
        ends = [event for event in box.events if event["event_type"] == "turn.completed"]
    assert len(ends) == 2


def test_the_guides_show_all_exit_codes_and_problems() -> None:
    from ranvier.cli.app import EPILOG
    from ranvier.verify import Problem

    listed = set(re.findall(r"^\| (\d+) \|", COMMANDS, re.M))
    assert listed == set(re.findall(r"^  (\d+) ", EPILOG, re.M))
    assert all(f"`{problem}`" in COMMANDS for problem in Problem)
