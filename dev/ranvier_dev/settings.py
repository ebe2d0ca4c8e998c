"""What a user of `ranvier dev` can set: flags, with environment variables as defaults."""

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

NAMESPACE: Final = "default"
EXAMPLES: Final = """\
examples:
  ranvier-dev                              serve on http://127.0.0.1:8080, state in ./.ranvier
  ranvier-dev --apply devbox.yaml          the same, with these Axons, Blueprints and Devboxes
  ranvier-dev --state /var/tmp/try --port 0

Devboxes are local processes here: they run as you, with your files and your network, and neither
their image nor their resource limits mean anything. Try agents you trust; use a cluster for others.
"""


@dataclass(frozen=True, slots=True)
class Settings:
    state: Path
    port: int
    manifests: tuple[Path, ...]
    log_level: str


def parse(
    argv: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ
) -> Settings:
    """Settings from flags; a wrong flag ends the process with a usage message."""
    parser = argparse.ArgumentParser(
        prog="ranvier-dev",
        description="Runs all of Ranvier on this machine, without a cluster: the journal, its API, "
        "the operator, and devboxes as local processes that sleep and wake.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--state",
        type=Path,
        default=Path(environment.get("RANVIER_DEV_STATE", ".ranvier")),
        help="folder for journal, home directories and logs; goes on where it was left "
        "(default: .ranvier)",
    )
    parser.add_argument("--port", type=int, default=8080, help="port of the API (default: 8080)")
    parser.add_argument(
        "--apply",
        action="append",
        type=Path,
        default=[],
        metavar="PATH",
        help="YAML, a file or a folder of files, of Axons, Blueprints, Devboxes and Secrets to "
        "create or update at the start",
    )
    parser.add_argument("--log-level", default="warning", help="of all parts (default: warning)")
    given = parser.parse_args(argv)
    state = given.state.absolute()
    if any(character.isspace() for character in str(state)):
        parser.error(f"--state {state}: the path must have no spaces; choose another folder")
    return Settings(state, given.port, tuple(given.apply), given.log_level)
