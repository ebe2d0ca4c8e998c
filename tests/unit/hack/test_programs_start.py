"""Every program of `hack/` starts from any Python and answers `--help`."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = sorted(
    path
    for folder in (ROOT / "hack", ROOT / "hack" / "bench")
    for path in folder.iterdir()
    if path.is_file() and os.access(path, os.X_OK) and b"python" in path.read_bytes()[:40]
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_program_says_what_it_does(program: Path, tmp_path: Path) -> None:
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(
        [program, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("usage: ")
