"""`ranvier dev`: all of Ranvier on this machine; the command becomes `ranvier-dev`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from ranvier.cli import programs

PACKAGE: Final = "ranvier_dev"
NEEDED: Final = (PACKAGE, "fastapi", "kopf", "yaml")
"""The program itself, and one package of each extra that it stands on."""

CONTEXT: Final = {"allow_extra_args": True, "ignore_unknown_options": True}
EPILOG: Final = """Commands in the same folder find this server and its key by themselves. Devboxes
run as you, with your files and your network: try agents that you trust.

Further options are passed to ranvier-dev; `ranvier dev -- --help` lists them.

\b
Examples:
  ranvier dev --apply fixer.yaml
  ranvier dev --state /var/tmp/try --port 9000
"""


def dev(
    context: typer.Context,
    apply: Annotated[
        list[Path] | None,
        typer.Option(help="YAML of Axons and Devboxes to start with.", metavar="FILE"),
    ] = None,
    state: Annotated[
        Path | None,
        typer.Option(
            help="Folder of journal, homes and logs; it goes on where it was left "
            "(default: .ranvier).",
            metavar="FOLDER",
        ),
    ] = None,
    port: Annotated[int, typer.Option(help="Port of the API; 0 takes a free one.")] = 8080,
) -> None:
    """Run all of Ranvier here, without a cluster.

    The journal, the operator, and devboxes as local processes that sleep and wake. Ctrl-C ends it.
    """
    programs.expect_installed(NEEDED, "What runs agents on this machine", "local")
    command = [sys.executable, "-m", PACKAGE, "--port", str(port)]
    for file in apply or ():
        command += ["--apply", str(file)]
    if state is not None:
        command += ["--state", str(state)]
    os.execv(sys.executable, [*command, *context.args])
