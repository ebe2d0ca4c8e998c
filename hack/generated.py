"""Files of the repository that are written from code: write them, or say how they differ."""

import argparse
import difflib
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent


def differences(root: Path, wanted: Mapping[Path, str], folders: Iterable[Path]) -> dict[Path, str]:
    """Unified diffs by path, from what lies in `root` to what is wanted.

    In `folders` lies nothing but generated files: what is not wanted there is stale.
    """
    stale = {path.relative_to(root): "" for folder in folders for path in (root / folder).glob("*")}
    found: dict[Path, str] = {}
    for path, text in sorted((stale | dict(wanted)).items()):
        file = root / path
        present = file.read_text() if file.exists() else ""
        diff = difflib.unified_diff(
            present.splitlines(keepends=True),
            text.splitlines(keepends=True),
            f"{path} (present)",
            f"{path} (from the code)",
        )
        if written := "".join(diff):
            found[path] = written
    return found


def write(root: Path, wanted: Mapping[Path, str], changed: Iterable[Path]) -> None:
    """Bring what has changed up to date."""
    for path in changed:
        file = root / path
        if path in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[path])
        else:
            file.unlink()
        print(f"{'wrote' if path in wanted else 'removed'} {path}")


def run(
    arguments: list[str] | None,
    wanted: Mapping[Path, str],
    folders: Iterable[Path],
    *,
    about: str,
    fix: str,
) -> int:
    """The command line of a generator; returns its exit status."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--check", action="store_true", help="compare only; exit 1 on drift")
    parser.add_argument("--root", type=Path, default=ROOT, help="where to write or compare")
    options = parser.parse_args(arguments)
    changed = differences(options.root, wanted, folders)
    if not options.check:
        write(options.root, wanted, changed)
        return 0
    if changed:
        print("".join(changed.values()))
        print(f"{len(changed)} generated files are out of date. Run: {fix}", file=sys.stderr)
        return 1
    return 0
