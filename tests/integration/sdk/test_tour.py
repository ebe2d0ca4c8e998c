"""The ten-minute tour is taken: typed on terminals as it stands, with the agent that it names."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from played_page import blocks, devboxes, parts, play, shell

REPOSITORY = Path(__file__).resolve().parents[3]
TOUR = (REPOSITORY / "docs" / "tour.md").read_text(encoding="utf-8")
AGENT = REPOSITORY / "examples" / "tour"
GUIDES = [(REPOSITORY / "docs" / name).read_text(encoding="utf-8") for name in ("cli.md", "sdk.md")]
START = "ranvier dev "

BLUEPRINT = """
apiVersion: ranvier.dev/v1alpha1
kind: Blueprint
metadata: {name: axon-agents}
spec: {image: none}
"""


class Tour:
    """Two terminals: `ranvier dev` runs in one, the other talks."""

    def __init__(self, folder: Path) -> None:
        agent = folder / "examples" / "tour"
        shutil.copytree(AGENT, agent)
        shutil.copy(agent / "notes_agent.py", agent / "opencode")
        (agent / "blueprint.yaml").write_text(BLUEPRINT)
        self.folder = folder
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        own = {"PATH": path, "XDG_DATA_HOME": str(folder)}
        self._env = {k: v for k, v in os.environ.items() if not k.startswith("RANVIER_")} | own
        self.serving = shell(self._env, folder)
        self.talking = shell(self._env, folder)
        self._is_serving = False

    def step(self, language: str, text: str) -> None:
        if language == "python":
            self._run(text)
        elif START in text:
            self._serve(text)
        else:
            play(self.talking, text)

    def _serve(self, text: str) -> None:
        """On a free port instead of 8080; the other terminal is told, as the page says."""
        if self._is_serving:
            self.serving.ctrl_c()
        play(self.serving, text.replace(START, f"{START}--port 0 --apply blueprint.yaml "))
        self._is_serving = True
        self.serving.shows("Devboxes run as you")
        told = dict(re.findall(r"export (RANVIER_\w+)=(\S+)", self.serving.text))
        self._env |= told
        words = " ".join(f"{name}={value}" for name, value in told.items())
        play(self.talking, f"$ export {words}")

    def _run(self, program: str) -> None:
        command = [sys.executable, "-W", "error", "-c", program]
        subprocess.run(command, env=self._env, check=True, timeout=60)


@pytest.fixture
def tour(tmp_path: Path) -> Iterator[Tour]:
    tour = Tour(tmp_path)
    with tour.serving, tour.talking:
        yield tour


def test_the_tour_and_the_guides_to_devboxes_show_what_happens(tour: Tour) -> None:
    """In one test, since a start of everything takes a while."""
    for page in (TOUR, *map(devboxes, GUIDES)):
        for language, text in parts(page, "console", "python"):
            tour.step(language, text)
    tour.talking.shows("$ ")
    tour.serving.ctrl_c()
    tour.serving.shows("$ ")


def test_the_tour_shows_the_manifest_as_it_is_and_installs_what_there_is() -> None:
    [manifest] = blocks(TOUR, "yaml")
    assert manifest == (AGENT / "notes.yaml").read_text(encoding="utf-8")
    [install] = blocks(TOUR, "sh")
    for folder, extra in re.findall(r"'\./?(\w*)\[(\w+)\]'", install):
        text = (REPOSITORY / folder / "pyproject.toml").read_text(encoding="utf-8")
        assert extra in tomllib.loads(text)["project"]["optional-dependencies"]
