"""What our images are made of, and a key that says whether one is up to date.

An image is rebuilt when its Containerfile, a file it copies, its base or the package it carries
changed, and not otherwise: the key of all these is put on the image as a label.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kind.cache import content_key
from kind.npm_packages import NpmPackage, pinned

ROOT = Path(__file__).resolve().parents[2]
KEY_LABEL = "ranvier.dev/content"
# Left out of build contexts: made on the way, different on every machine.
_NOT_COPIED = ("__pycache__", "*.egg-info", "*.pyc", ".mypy_cache", ".ruff_cache", ".pytest_cache")


@dataclass(frozen=True)
class ImageRecipe:
    """One image: its reference, and what of the repository its Containerfile copies.

    `is_default`: whether it is among those that are built and loaded when none is named.
    """

    name: str
    reference: str
    copied: tuple[str, ...] = ()
    is_default: bool = True

    @property
    def containerfile(self) -> Path:
        return ROOT / "images" / self.name / "Containerfile"

    @property
    def npm_packages(self) -> tuple[NpmPackage, ...]:
        """The packages that the Containerfile finds unpacked in the folder `agent`."""
        return pinned(ROOT / "images" / self.name)

    def files(self) -> Iterator[Path]:
        """Every file that is copied, in a fixed order."""
        for name in self.copied:
            path = ROOT / name
            yield from (
                [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
            )

    def missing(self) -> list[str]:
        return [name for name in self.copied if not (ROOT / name).exists()]

    def key(self, base_id: str) -> str:
        parts: list[str | bytes] = [
            base_id,
            self.containerfile.read_bytes(),
            repr(self.npm_packages),
        ]
        for path in self.files():
            relative = path.relative_to(ROOT)
            if not any(
                part.match(pattern) for part in map(Path, relative.parts) for pattern in _NOT_COPIED
            ):
                parts += [relative.as_posix(), path.read_bytes()]
        return content_key(*parts)

    def write_context(self, folder: Path, agent: Path | None) -> None:
        """Put the copied files and the packages, and nothing else, into an empty folder."""
        for name in self.copied:
            source, target = ROOT / name, folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns(*_NOT_COPIED))
            else:
                shutil.copy2(source, target)
        shutil.copy2(self.containerfile, folder / "Containerfile")
        if agent is not None:
            shutil.copytree(agent, folder / "agent", symlinks=True)


IMAGES = {
    recipe.name: recipe
    for recipe in (
        ImageRecipe(
            "ranvier",
            "ranvier/ranvier:dev",
            (
                *("requirements.lock", "images/ranvier/build.lock", "pyproject.toml"),
                *("README.md", "LICENSE", "sdk", "operator", "broker", "apiserver", "dev"),
            ),
        ),
        ImageRecipe("opencode", "ranvier/devbox-opencode:dev"),
        ImageRecipe("claude", "ranvier/devbox-claude:dev", is_default=False),
        ImageRecipe("claude-agent-acp", "ranvier/devbox-claude-agent-acp:dev", is_default=False),
        ImageRecipe("codex", "ranvier/devbox-codex:dev", is_default=False),
        ImageRecipe("pi", "ranvier/devbox-pi:dev", is_default=False),
        ImageRecipe("model", "ranvier/model:dev", ("hack/model",)),
    )
}
