"""Running other programs: one place that knows the checkout and the cluster's environment."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv" / "bin" / "python"


class CommandFailed(Exception):
    """A program ended with an error; the message holds its last words."""


def enter_environment() -> None:
    """Go on under the checkout's own Python, which has the dependencies; it is made if needed."""
    if Path(sys.prefix) == PYTHON.parents[1]:
        return
    if not PYTHON.exists():
        read([ROOT / "hack" / "venv"])
    os.execv(PYTHON, [str(PYTHON), *sys.argv])


def run(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> int:
    """Run in the checkout with output shown; returns the exit status."""
    return subprocess.run([str(a) for a in argv], cwd=ROOT, env=env, check=False).returncode


def read(argv: Sequence[str | Path], env: Mapping[str, str] | None = None, text: str = "") -> str:
    """Run in the checkout, return its standard output; CommandFailed with its words otherwise."""
    done = subprocess.run(
        [str(a) for a in argv],
        cwd=ROOT,
        env=env,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        words = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandFailed(f"{' '.join(str(a) for a in argv)} (exit {done.returncode}): {words}")
    return done.stdout


def cluster_environment() -> dict[str, str]:
    """This environment plus what `hack/cluster env` says: KUBECONFIG, DOCKER_HOST, PATH."""
    env = dict(os.environ)
    for line in read([ROOT / "hack" / "cluster", "env"]).splitlines():
        name, _, value = line.removeprefix("export ").partition("=")
        env[name] = value.strip("'\"").replace("$PATH", env.get("PATH", ""))
    return env
