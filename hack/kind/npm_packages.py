"""Packages of the npm registry: pinned by their hash, fetched once, kept in the cache.

They are unpacked as npm would lay them out, but nothing is installed: no script of theirs runs, and
what a package says it depends on is not looked at. All that is needed is pinned.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kind import debian
from kind.cache import content_key, published
from kind.errors import CommandFailed, Failure
from kind.places import Places
from kind.processes import answer
from kind.progress import Progress

PINS = "npm-packages.json"
"""The name of a file that lists packages."""

_FOLDER = "node_modules"


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, pinned by its hash."""

    name: str
    version: str
    integrity: str

    @property
    def file_name(self) -> str:
        """What the package is called in the cache: a scope's slash would be a folder."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}"


def pinned(folder: Path) -> tuple[NpmPackage, ...]:
    """The packages that a folder's list names; none where there is no list."""
    path = folder / PINS
    return tuple(NpmPackage(**pin) for pin in json.loads(path.read_text())) if path.exists() else ()


def node_modules(packages: Sequence[NpmPackage], places: Places, progress: Progress) -> Path:
    """A folder that holds each package under its name, as Node looks for it; fetched and unpacked
    if it is not there yet. Raises Failure."""
    names = [name for package in packages for name in (package.name, package.integrity)]
    folder = places.cache / "npm" / "trees" / content_key(*names)
    if folder.exists():
        return folder / _FOLDER
    with _alone(places):
        if folder.exists():  # somebody else was first
            return folder / _FOLDER
        _lay_out(packages, folder, places, progress)
    return folder / _FOLDER


def _lay_out(
    packages: Sequence[NpmPackage], folder: Path, places: Places, progress: Progress
) -> None:
    with published(folder) as draft:
        for package in packages:
            target = draft / _FOLDER / package.name
            # The same package in two trees takes its space once.
            shutil.copytree(_unpacked(package, places, progress), target, copy_function=os.link)


def _unpacked(package: NpmPackage, places: Places, progress: Progress) -> Path:
    """The package's files."""
    key = content_key(package.integrity)
    folder = places.cache / "npm" / "unpacked" / f"{package.file_name}-{key}"
    if not folder.exists():
        archive = _archive(package, places, progress)
        with (
            progress.step(f"unpacking {package.name} {package.version}"),
            published(folder) as draft,
            tarfile.open(archive) as tar,
        ):
            tar.extractall(draft, filter="data")
    # npm's archives have one folder, most often called `package`.
    return next(path for path in folder.iterdir() if path.is_dir())


def _archive(package: NpmPackage, places: Places, progress: Progress) -> Path:
    """The package's archive, fetched once with npm (which knows how this machine reaches its
    registry)."""
    path = places.cache / "npm" / f"{package.file_name}.tgz"
    if path.exists() and integrity(path) == package.integrity:
        return path
    if debian.which("npm") is None:
        raise Failure(
            f"{package.name} comes from npm, which is not installed", "install npm (Node.js)"
        )
    wanted = f"{package.name}@{package.version}"
    with (
        progress.step(f"fetching {wanted} from npm"),
        tempfile.TemporaryDirectory(dir=path.parent) as folder,
    ):
        command = ["npm", "pack", "--silent", "--json", "--ignore-scripts", wanted]
        try:
            told = answer(command, folder=Path(folder))
        except CommandFailed as failed:
            message = f"{wanted} could not be fetched:\n{failed.output}"
            raise Failure(message, "see whether npm reaches its registry") from failed
        fetched = Path(folder, json.loads(told)[0]["filename"])
        if integrity(fetched) != package.integrity:
            raise Failure(
                f"{wanted} has hash {integrity(fetched)}, not {package.integrity}",
                f"if the new content is right, change {PINS}",
            )
        fetched.replace(path)
    return path


def integrity(path: Path) -> str:
    """A file's hash as npm writes it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"


@contextmanager
def _alone(places: Places) -> Iterator[None]:
    """One at a time; not the cache's own lock, which a cluster being built holds for minutes."""
    (places.cache / "npm").mkdir(parents=True, exist_ok=True)
    with (places.cache / "npm" / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
