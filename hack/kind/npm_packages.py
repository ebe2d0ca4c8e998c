"""Packages of the npm registry: pinned by their hash, fetched once, kept in the cache."""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path

from kind import debian
from kind.errors import Failure
from kind.places import Places
from kind.processes import answer
from kind.progress import Progress


@dataclass(frozen=True)
class NpmPackage:
    """A package of the npm registry, pinned by its hash."""

    name: str
    version: str
    integrity: str

    @classmethod
    def read(cls, pin: Path) -> NpmPackage:
        """From a file with exactly these members."""
        return cls(**json.loads(pin.read_text()))

    @property
    def file_name(self) -> str:
        """What the package is called in the cache: a scope's slash would be a folder."""
        return f"{self.name.lstrip('@').replace('/', '-')}-{self.version}"


def archive(package: NpmPackage, places: Places, progress: Progress) -> Path:
    """The package's archive, fetched once with npm (which knows how this machine reaches its
    registry)."""
    path = places.cache / "npm" / f"{package.file_name}.tgz"
    if path.exists() and integrity(path) == package.integrity:
        return path
    if debian.which("npm") is None:
        raise Failure(
            f"{package.name} comes from npm, which is not installed", "install npm (Node.js)"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    wanted = f"{package.name}@{package.version}"
    with (
        progress.step(f"fetching {wanted} from npm"),
        tempfile.TemporaryDirectory(dir=places.cache, prefix=".building-") as folder,
    ):
        command = ["npm", "pack", "--silent", "--json", "--ignore-scripts", wanted]
        fetched = Path(folder, json.loads(answer(command, folder=Path(folder)))[0]["filename"])
        if integrity(fetched) != package.integrity:
            raise Failure(
                f"{wanted} has hash {integrity(fetched)}, not {package.integrity}",
                "if the new content is right, change npm-package.json",
            )
        fetched.replace(path)
    return path


def integrity(path: Path) -> str:
    """A file's hash as npm writes it."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha512").digest()
    return f"sha512-{base64.b64encode(digest).decode()}"
