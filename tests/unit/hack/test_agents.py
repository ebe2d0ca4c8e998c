"""Agents for tests: pinned beside the image that carries them, unpacked once, never half."""

import io
import json
import shlex
import tarfile
from pathlib import Path

import pytest
from kind import agents, npm_packages
from kind.agents import AGENTS, Agent, bring
from kind.errors import Failure
from kind.image_recipes import IMAGES, ImageRecipe
from kind.npm_packages import NpmPackage, integrity
from kind.places import Places
from kind.progress import Progress

PINNED = [pytest.param(p, id=f"{i.name}:{p.name}") for i in IMAGES.values() for p in i.npm_packages]


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_is_made_of_files_that_its_image_copies(name: str) -> None:
    agent = AGENTS[name]
    recipe = IMAGES[agent.image]
    copied = [
        line.split()[1].removeprefix("agent/")
        for line in recipe.containerfile.read_text().splitlines()
        if line.startswith("COPY agent/")
    ]
    files = [w for w in (*agent.words, *dict(agent.environment).values()) if w.startswith("./")]
    assert files
    for file in files:
        assert any(Path(file).is_relative_to(path) for path in copied), file
        assert any(Path(file).is_relative_to(p.name) for p in recipe.npm_packages), file


@pytest.mark.parametrize("package", PINNED)
def test_every_package_is_pinned_by_a_hash_and_one_version_in_all_images(
    package: NpmPackage,
) -> None:
    assert package.integrity.startswith("sha512-")
    others = [p for image in IMAGES.values() for p in image.npm_packages if p.name == package.name]
    assert set(others) == {package}


def test_only_the_agent_of_the_journeys_is_built_when_no_image_is_named() -> None:
    assert {a.image for a in AGENTS.values() if IMAGES[a.image].is_default} == {"opencode"}


def test_a_scope_makes_no_folder() -> None:
    assert NpmPackage("@a/b-c", "1.2", "sha512-x").file_name == "a-b-c-1.2"


def fetched(cache: Path, name: str) -> NpmPackage:
    """A package with a program as npm makes it, fetched into a cache."""
    archive = cache / "npm" / f"{NpmPackage(name, '1', '').file_name}.tgz"
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(archive, "w:gz") as tar:
        entry = tarfile.TarInfo("package/bin/agent")
        entry.size, entry.mode = 9, 0o755
        tar.addfile(entry, io.BytesIO(b"#!/bin/sh"))
    return NpmPackage(name, "1", integrity(archive))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A cache that holds the archives of one agent, `some`, which is made of two packages."""
    packages = [fetched(tmp_path / "cache", name) for name in ("agent", "@a/runtime")]
    pins = tmp_path / "images" / "some" / npm_packages.PINS
    pins.parent.mkdir(parents=True)
    pins.write_text(json.dumps([vars(package) for package in packages]))
    monkeypatch.setattr("kind.image_recipes.ROOT", tmp_path)
    monkeypatch.setitem(IMAGES, "some", ImageRecipe("some", "some:dev"))
    words = ("./@a/runtime/bin/agent", "./agent/bin/agent", "serve")
    monkeypatch.setitem(AGENTS, "some", Agent("some", words, (("AT", "./agent"),)))
    return Places.from_environment({"RANVIER_CACHE": str(tmp_path / "cache")})


def test_an_agent_is_unpacked_once(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    program = bring("some", places, Progress())
    runtime, agent, argument = program.command
    assert argument == "serve"
    assert program.environment == {"AT": str(Path(agent).parents[1])}
    for path in (Path(runtime), Path(agent)):
        assert path.read_bytes() == b"#!/bin/sh"
        assert path.stat().st_mode & 0o111
    assert Path(runtime).parents[3].name == "node_modules", "where Node looks for packages"
    monkeypatch.setattr(npm_packages, "_archive", None)
    assert bring("some", places, Progress()) == program


def test_an_interrupted_unpacking_leaves_nothing_that_poses_as_done(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        broken.setattr("tarfile.TarFile.extractall", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            bring("some", places, Progress())
    assert Path(bring("some", places, Progress()).command[0]).exists()


def test_the_command_is_a_line_for_a_shell(
    places: Places, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(places.cache))
    assert agents.main(["command", "some"]) == 0
    words = shlex.split(capsys.readouterr().out)
    program = bring("some", places, Progress())
    assert words == ["env", f"AT={program.environment['AT']}", *program.command]


def test_without_npm_and_without_the_archive_it_says_what_to_do(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    (places.cache / "npm" / "agent-1.tgz").write_bytes(b"damaged")
    monkeypatch.setattr("kind.debian.which", lambda _: None)
    with pytest.raises(Failure, match="install npm"):
        bring("some", places, Progress())
