"""kind, kubectl and helm, wherever each comes from, linked into one folder.

A tool on the machine is used when its version fits. What is missing is built once. `hack/cluster
env` puts the folder of links first on PATH.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from kind.debian import which
from kind.errors import CommandFailed
from kind.go_programs import build_programs
from kind.places import Places
from kind.processes import answer
from kind.progress import Progress
from kind.recipe import TOOLS

_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)")
_VERSION_QUESTION = {
    "kind": ("version",),
    "kubectl": ("version", "--client"),
    "helm": ("version", "--short"),
}


def bring_tools(places: Places, progress: Progress) -> None:
    """Link kind, kubectl and helm into `places.bin`, building those that are missing."""
    found = {name: path for name in TOOLS if (path := _on_machine(name, places)) is not None}
    built = build_programs(
        (program for name, program in TOOLS.items() if name not in found), places, progress
    )
    for name, path in {**found, **built}.items():
        _link(places.bin / name, path)


def tool(places: Places, name: str) -> Path:
    """A tool that `bring_tools` has linked."""
    return places.bin / name


def tool_path(places: Places, environment: Mapping[str, str] = os.environ) -> str:
    """PATH with the folder of links first, once."""
    folders = [folder for folder in environment.get("PATH", "").split(":") if folder]
    return ":".join([str(places.bin), *(folder for folder in folders if folder != str(places.bin))])


def fits(name: str, said: str) -> bool:
    """Whether a tool of the machine may stand in for ours, from what it says about its version.

    kind: its flags and its node image belong together. kubectl: supported one minor away from the
    API server. helm: charts are tested with its major version.
    """
    found = _VERSION.search(said)
    pinned = _VERSION.search(TOOLS[name].version)
    if found is None or pinned is None:
        return False
    major, minor, _ = (int(part) for part in found.groups())
    pinned_major, pinned_minor, _ = (int(part) for part in pinned.groups())
    if name == "kubectl":
        return major == pinned_major and abs(minor - pinned_minor) <= 1
    return major == pinned_major if name == "helm" else found[0] == pinned[0]


def _on_machine(name: str, places: Places) -> Path | None:
    path = which(name)
    if path is None or Path(path).parent == places.bin:
        return None
    try:
        said = answer([path, *_VERSION_QUESTION[name]], seconds_max=10)
    except CommandFailed:
        return None
    return Path(path) if fits(name, said) else None


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    if not (link.is_symlink() and link.readlink() == target):
        link.unlink(missing_ok=True)
        link.symlink_to(target)
