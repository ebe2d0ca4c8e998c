"""The `ranvier` command: axons, devboxes and conversations with agents, from a terminal.

It is an extra (`pip install 'ranvier[cli]'`), so that the SDK alone stays small. Commands are thin:
they call the client and print; what a conversation shows and asks is decided in `conversation`.
"""

import sys
from typing import Final

EXIT_USAGE: Final = 2

NOT_NEEDED: Final = ("httpx._main",)
"""httpx's own command line, which it imports together with rich and pygments where those are
installed: a quarter of a second of every command. httpx goes on without it."""


def main() -> None:
    """Entry point of the console script."""
    for name in NOT_NEEDED:
        sys.modules[name] = None  # type: ignore[assignment] # how Python says: not importable
    try:
        from ranvier.cli.app import run
    except ModuleNotFoundError as error:
        if error.name != "typer":
            raise
        print("The command line is an extra: pip install 'ranvier[cli]'", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    sys.exit(run())
