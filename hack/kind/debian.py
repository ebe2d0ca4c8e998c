"""Bringing system programs where apt can: on Debian, as root. Elsewhere the user is told what to
install."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from kind.errors import CommandFailed, Failure
from kind.places import Places
from kind.processes import run_logged, system_path
from kind.progress import Progress

# Program → the Debian package that carries it.
PACKAGES = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "iptables-save": "iptables",
    "nft": "nftables",
    "ip": "iproute2",
    "mmdebstrap": "mmdebstrap",
    "gcc": "gcc",
    "pkg-config": "pkg-config",
    "zstd": "zstd",
    "tar": "tar",
}
# Files that stand for a package without a program of its own.
LIBRARIES = {
    "/usr/include/seccomp.h": "libseccomp-dev",
    "/usr/include/stdlib.h": "libc6-dev",
}
APPARMOR_ENABLED = Path("/sys/module/apparmor/parameters/enabled")


def can_install() -> bool:
    """Whether this is a Debian (or a child of it) and we may install on it."""
    return os.geteuid() == 0 and Path("/etc/debian_version").exists() and bool(which("apt-get"))


def which(program: str) -> str | None:
    """Like shutil.which, looking also where administration programs live."""
    return shutil.which(program, path=system_path())


def missing_packages(programs: Iterable[str], files: Iterable[str] = ()) -> list[str]:
    """Packages to install so that these programs and files are there."""
    packages = [PACKAGES[program] for program in programs if not which(program)]
    packages += [LIBRARIES[file] for file in files if not Path(file).exists()]
    return sorted(set(packages))


def install(packages: list[str], purpose: str, places: Places, progress: Progress) -> None:
    """apt-get install, refreshing the package lists only when that alone does not do."""
    if not packages:
        return
    names = " ".join(packages)
    if not can_install():
        raise Failure(
            f"{purpose} needs {names} (Debian's names)",
            "install them, or run this as root on Debian, where it installs them itself",
        )
    log = places.logs / "apt.log"
    command = ["apt-get", "install", "--yes", "--no-install-recommends", *packages]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(f"installing {names}"):
        try:
            run_logged(command, log, environment=quiet)
        except CommandFailed:
            try:
                run_logged(["apt-get", "update"], log, environment=quiet)
                run_logged(command, log, environment=quiet)
            except CommandFailed as failed:
                raise Failure(
                    f"{names} could not be installed:\n{failed.output}", f"see {log}"
                ) from failed


def ensure_docker(places: Places, progress: Progress) -> None:
    """Everything a private Docker daemon runs on."""
    packages = missing_packages(["dockerd", "docker", "iptables-save", "nft", "ip"])
    if APPARMOR_ENABLED.exists() and APPARMOR_ENABLED.read_text().startswith("Y"):
        # Docker refuses to start containers on such a kernel when it cannot load its profile.
        packages += [] if which("apparmor_parser") else ["apparmor"]
    install(packages, "a Docker daemon", places, progress)


def ensure_builders(places: Places, progress: Progress) -> None:
    """Everything our own node image is built with, apart from Go."""
    packages = missing_packages(["mmdebstrap", "gcc", "pkg-config", "zstd", "tar"], LIBRARIES)
    install(packages, "building the node image", places, progress)
