"""Debian trees made from a package mirror: what images start from where no image registry is
reached."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kind import debian
from kind.cache import content_key, published
from kind.errors import CommandFailed, Failure
from kind.places import Places
from kind.processes import run_logged
from kind.progress import Progress
from kind.recipe import DEBIAN_SUITE

# Documentation and translations are half of a minimal Debian, and nobody reads them in a container.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


@dataclass(frozen=True)
class DebianRoot:
    """A minimal Debian and the packages added to it."""

    name: str
    packages: tuple[str, ...]
    suite: str = DEBIAN_SUITE

    @property
    def key(self) -> str:
        return content_key(self.suite, *self.packages, *_LEFT_OUT)

    def path(self, places: Places) -> Path:
        return places.roots / f"{self.name}-{self.key}.tar"


def build_root(
    root: DebianRoot,
    places: Places,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> Path:
    """The packed tree, made first when it is not in the cache. RANVIER_DEBIAN_MIRROR names another
    mirror."""
    path = root.path(places)
    if path.exists():
        progress.cached(f"Debian root “{root.name}”")
        return path
    debian.install(
        debian.missing_packages(["mmdebstrap"]), "making a Debian root", places, progress
    )
    if os.geteuid() != 0:
        raise Failure(
            "making a Debian root takes root",
            "run this as root, or where an image registry is reached",
        )
    log = places.logs / f"root-{root.name}.log"
    log.unlink(missing_ok=True)
    mirror = environment.get("RANVIER_DEBIAN_MIRROR")
    with progress.step(f"making a Debian root “{root.name}”"), published(path) as target:
        command: list[str | Path] = ["mmdebstrap", "--variant=minbase", "--format=tar"]
        command += [f"--include={','.join(root.packages)}"]
        command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
        command += [root.suite, target, *([mirror] if mirror else [])]
        try:
            run_logged(command, log)
        except CommandFailed as failed:
            raise Failure(
                f"a Debian root could not be made:\n{failed.output}",
                f"see {log}; RANVIER_DEBIAN_MIRROR names another mirror",
            ) from failed
    return path
