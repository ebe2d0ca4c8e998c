"""What docs/sdk.md and docs/cli.md show is run: programs as they stand, commands in one shell.

Their chapters on devboxes are run by the test of the tour, which has some.
"""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from broker_box import API_KEY, Box, Server
from played_page import blocks, play, shell, without_devboxes

DOCS = Path(__file__).resolve().parents[3] / "docs"
RUN_SECONDS_MAX = 300.0
"""Ends what hangs. The commands of a page are a dozen processes, one after the other: they take
half a minute where many others want the processor."""

PROGRAMS = blocks(without_devboxes((DOCS / "sdk.md").read_text(encoding="utf-8")), "python")
INSTALL, COMMANDS, TALK = re.split(
    "## Axons|## Talk to an agent",
    without_devboxes((DOCS / "cli.md").read_text(encoding="utf-8")),
)
AGENT = DOCS.parent / "examples" / "tour" / "notes_agent.py"


def environment(**more: str) -> dict[str, str]:
    """Ours, with the commands that are installed here, and nothing set for Ranvier but this."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    bare = {name: text for name, text in os.environ.items() if not name.startswith("RANVIER_")}
    return {**bare, "PATH": path, **more}


def reach(server: Server) -> dict[str, str]:
    return {"RANVIER_BASE_URL": server.url, "RANVIER_API_KEY": API_KEY}


def run(command: list[str], folder: Path, env: dict[str, str]) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
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
    command = [sys.executable, "-W", "error", "program.py"]
    run(command, tmp_path, environment(**reach(server)))


def test_the_commands_in_the_guide_to_the_command_line_run(server: Server, tmp_path: Path) -> None:
    script = "\n".join(["set -euo pipefail", *blocks(COMMANDS, "sh")])
    printed = run(["bash", "-c", script], tmp_path, environment(**reach(server)))
    assert "user.message" in printed


def test_the_sessions_in_the_guide_to_the_command_line_run(tmp_path: Path) -> None:
    own = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data"), "SHELL": "bash"}
    with shell(environment(**own), tmp_path) as terminal:
        for session in blocks(INSTALL, "console"):
            play(terminal, session.replace("ranvier serve\n", "ranvier serve --port 0\n"))
        terminal.shows("$ ")
    assert (tmp_path / "data" / "ranvier" / "api-key").exists()


async def test_the_talk_in_the_guide_to_the_command_line_runs(
    server: Server, tmp_path: Path
) -> None:
    script = "\n".join(["set -euo pipefail", *blocks(TALK, "sh")])
    [session] = blocks(TALK, "console")
    async with Box(server, tmp_path, agent=(sys.executable, str(AGENT))) as box:
        box.start()
        env = environment(**reach(server), AXON=box.axon_id)
        await asyncio.to_thread(run, ["bash", "-c", script], tmp_path, env)

        def talk() -> None:
            with shell(env, tmp_path) as terminal:
                play(terminal, session.replace("axn_…", box.axon_id))
                terminal.shows("$ ")

        await asyncio.to_thread(talk)
        ends = [event["event_type"] for event in box.events if "turn.c" in event["event_type"]]
    assert ends == ["turn.completed"] * 3 + ["turn.cancelled"]


def test_the_guides_show_all_exit_codes_and_problems() -> None:
    from ranvier.cli.app import EPILOG
    from ranvier.verify import Problem

    listed = set(re.findall(r"^\| (\d+) \|", COMMANDS, re.M))
    assert listed == set(re.findall(r"^  (\d+) ", EPILOG, re.M))
    assert all(f"`{problem}`" in COMMANDS for problem in Problem)
