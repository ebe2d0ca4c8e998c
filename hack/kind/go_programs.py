"""Building Go programs from the module proxy, each cached on its own.

No checkout: a go.mod that requires one module at one version is enough, and Go's checksum database
vouches for what comes. Each program is published as soon as it is built, so an interrupted run
loses only the one it was at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from kind.cache import content_key, published
from kind.errors import CommandFailed, Failure
from kind.go_toolchain import find_go
from kind.places import Places
from kind.processes import answer, run_logged
from kind.progress import Progress
from kind.recipe import GoProgram

# -trimpath and no VCS stamp: the same program comes out whatever folder it was built in.
# -mod=mod: go.mod names one module, Go adds what that one needs.
_FLAGS = "-trimpath -buildvcs=false -mod=mod"


def program_path(places: Places, program: GoProgram) -> Path:
    """Where the built program lies, or will: named by everything that decides what comes out."""
    key = content_key(
        program.package,
        program.version,
        program.tags,
        program.linker,
        str(program.cgo),
        program.staging,
        str(program.edition),
        os.uname().machine,
    )
    return places.programs / f"{program.name}-{key}"


def build_programs(
    programs: Iterable[GoProgram], places: Places, progress: Progress
) -> dict[str, Path]:
    """Build those that are not there yet. Returns where each lies, by name."""
    wanted = {program.name: program for program in programs}
    paths = {name: program_path(places, program) for name, program in wanted.items()}
    missing = [program for name, program in wanted.items() if not paths[name].exists()]
    if missing:
        go = find_go(places, progress)
        for number, program in enumerate(missing, start=1):
            which = f" ({number} of {len(missing)})" if len(missing) > 1 else ""
            with progress.step(f"building {program.name} {program.version}{which}"):
                _build(go, program, places)
    if len(missing) < len(wanted):
        progress.cached(", ".join(sorted(wanted.keys() - {program.name for program in missing})))
    return paths


def go_mod(program: GoProgram, staging: Mapping[str, bool]) -> str:
    """The go.mod a program is built from. What it requires of its staging modules we require by
    their real version: the built program then names that, and not v0.0.0."""
    lines = ["module ranvier.local/build", "", "go 1.26.0", ""]
    lines.append(f"require {program.module} {program.version}")
    lines += [f"require {name} {program.staging}" for name, is_used in staging.items() if is_used]
    lines += [f"replace {name} => {name} {program.staging}" for name in staging]
    return "\n".join(lines) + "\n"


def staging_modules(go_mod_text: str) -> dict[str, bool]:
    """Modules that a go.mod replaces by folders of its own repository ("k8s.io/api =>
    ./staging/…"), and whether it requires them too."""
    lines = [line.split() for line in go_mod_text.splitlines()]
    required = {words[0] for words in lines if len(words) >= 2 and words[1] == "v0.0.0"}
    replaced = [
        words[-3]
        for words in lines
        if len(words) >= 3 and words[-2] == "=>" and words[-1].startswith("./")
    ]
    return {name: name in required for name in replaced}


def module_files(program: GoProgram, places: Places, progress: Progress) -> Path:
    """The folder with the sources of a program's module, in Go's own cache; fetched if need be."""
    environment = {"GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local"}
    command: list[str | Path] = [find_go(places, progress), "mod", "download", "-json"]
    said = answer([*command, f"{program.module}@{program.version}"], environment=environment)
    return Path(json.loads(said)["Dir"])


def _build(go: Path, program: GoProgram, places: Places) -> None:
    log = places.logs / f"{program.name}.log"
    log.unlink(missing_ok=True)
    environment = {
        "GOFLAGS": _FLAGS,
        "GOWORK": "off",
        "GO111MODULE": "on",
        # A go.mod that asks for a newer Go must say so loudly, not fetch one.
        "GOTOOLCHAIN": "local",
        # Cgo stays at Go's default for programs that use it.
        **({} if program.cgo else {"CGO_ENABLED": "0"}),
    }
    try:
        folder = _module_folder(go, program, places, environment)
        with published(program_path(places, program)) as target:
            command: list[str | Path] = [go, "build", "-o", target]
            command += ["-ldflags", program.linker, "-tags", program.tags, program.package]
            run_logged(command, log, environment=environment, folder=folder)
    except CommandFailed as failed:
        raise Failure(
            f"{program.name} {program.version} could not be built:\n{failed.output}",
            f"see {log}; if the network failed, run this again: finished programs are kept",
        ) from failed


def _module_folder(
    go: Path, program: GoProgram, places: Places, environment: dict[str, str]
) -> Path:
    """A folder with the go.mod to build from, one for each module and version."""
    key = content_key(program.module, program.version, program.staging)
    folder = places.go_modules / f"{program.module.replace('/', '-')}-{key}"
    if not (folder / "go.mod").exists():
        staging: dict[str, bool] = {}
        if program.staging:
            download: list[str | Path] = [
                go,
                "mod",
                "download",
                "-json",
                f"{program.module}@{program.version}",
            ]
            described = json.loads(answer(download, environment=environment))
            staging = staging_modules(Path(described["GoMod"]).read_text())
        folder.mkdir(parents=True, exist_ok=True)
        with published(folder / "go.mod") as target:
            target.write_text(go_mod(program, staging))
    return folder
