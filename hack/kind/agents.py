"""Real agents as programs on this machine, for tests and recordings: the ones our images carry.

Each comes from the npm package that is pinned beside its image, is unpacked once into the cache,
and needs neither Node nor an installation.
"""

from __future__ import annotations

import argparse
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kind import npm_packages
from kind.cache import published
from kind.cli import guarded
from kind.errors import CommandFailed, Failure
from kind.image_recipes import ROOT
from kind.npm_packages import NpmPackage
from kind.places import Places
from kind.progress import Progress


@dataclass(frozen=True)
class Agent:
    """An agent: the image that pins its package, and its program's path in the package."""

    image: str
    program: str

    @property
    def package(self) -> NpmPackage:
        return NpmPackage.read(ROOT / "images" / self.image / "npm-package.json")


AGENTS = {
    "opencode": Agent("opencode", "package/bin/opencode"),
    "claude": Agent("claude", "package/claude"),
}


def bring(name: str, places: Places, progress: Progress) -> Path:
    """The agent's program, fetched and unpacked if it is not there yet. Raises Failure."""
    agent = AGENTS[name]
    package = agent.package
    folder = places.cache / "agents" / package.file_name
    program = folder / agent.program
    if program.exists():
        return program
    # No lock: a cluster being built holds it for minutes, and each step is whole or not at all.
    try:
        archive = npm_packages.archive(package, places, progress)
    except CommandFailed as failed:
        message = f"{package.name} could not be fetched:\n{failed.output}"
        raise Failure(message, "see whether npm reaches its registry") from failed
    with (
        progress.step(f"unpacking {package.name} {package.version}"),
        published(folder) as draft,
        tarfile.open(archive) as tar,
    ):
        tar.extractall(draft, filter="data")
    return program


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `hack/agents`; its exit code."""
    parser = argparse.ArgumentParser(
        prog="hack/agents",
        description="Real agents as programs on this machine, kept in the cache (docs/cluster.md).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    path = commands.add_parser("path", help="fetch an agent if it is not there; print its path")
    path.add_argument("name", choices=AGENTS)
    options = parser.parse_args(arguments)

    def print_path() -> int:
        print(bring(options.name, Places.from_environment(), Progress()))
        return 0

    return guarded(print_path)
