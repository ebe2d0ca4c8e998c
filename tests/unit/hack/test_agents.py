"""Agents for tests: pinned beside the image that carries them, unpacked once, never half."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from kind import agents, npm_packages
from kind.agents import AGENTS, Agent, bring
from kind.errors import Failure
from kind.image_recipes import IMAGES
from kind.npm_packages import NpmPackage, integrity
from kind.places import Places
from kind.progress import Progress


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_the_program_that_its_image_carries(name: str) -> None:
    agent = AGENTS[name]
    recipe = IMAGES[agent.image]
    assert recipe.npm_package == agent.package
    assert f"/agent/{agent.program} " in recipe.containerfile.read_text()


def test_a_scope_makes_no_folder() -> None:
    assert NpmPackage("@a/b-c", "1.2", "sha512-x").file_name == "a-b-c-1.2"


def package_of(folder: Path, cache: Path) -> None:
    """A package `agent` 1 as npm makes it, pinned in a folder and fetched into a cache."""
    archive = cache / "npm" / "agent-1.tgz"
    archive.parent.mkdir(parents=True)
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("package/bin/agent")
        entry.size, entry.mode = 9, 0o755
        tar.addfile(entry, io.BytesIO(b"#!/bin/sh"))
    pin = folder / "images" / "some" / "npm-package.json"
    pin.parent.mkdir(parents=True)
    pin.write_text(json.dumps({"name": "agent", "version": "1", "integrity": integrity(archive)}))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A cache that holds the archive of one agent, `some`."""
    package_of(tmp_path, tmp_path / "cache")
    monkeypatch.setattr(agents, "ROOT", tmp_path)
    monkeypatch.setitem(AGENTS, "some", Agent("some", "package/bin/agent"))
    return Places.from_environment({"RANVIER_CACHE": str(tmp_path / "cache")})


def test_an_agent_is_unpacked_once(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    program = bring("some", places, Progress())
    assert program.read_bytes() == b"#!/bin/sh"
    assert program.stat().st_mode & 0o111
    monkeypatch.setattr(npm_packages, "archive", None)
    assert bring("some", places, Progress()) == program


def test_without_npm_and_without_the_archive_it_says_what_to_do(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.cache / "npm" / "agent-1.tgz").write_bytes(b"damaged")
    monkeypatch.setattr("kind.debian.which", lambda _: None)
    with pytest.raises(Failure, match="install npm"):
        bring("some", places, Progress())
