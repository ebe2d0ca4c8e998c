"""The command tree, and how errors become exit codes."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, Final

import typer

from ranvier.cli import axons, dev, devboxes, output, prompt, serve
from ranvier.cli.target import Target
from ranvier.client.errors import (
    ConnectionFailed,
    NotConfigured,
    NotFound,
    RanvierError,
    Unauthenticated,
)

EXIT_FAILED: Final = 1
EXIT_UNREACHABLE: Final = 3
EXIT_NOT_FOUND: Final = 4
EXIT_INTERRUPTED: Final = 130

EPILOG: Final = """\b
Exit codes:
  0    done
  1    refused or failed; the message says why
  2    the command was not understood
  3    no server, no key, or a key that is not known there
  4    there is no such axon or devbox
  5    ranvier verify: promises were broken
  130  interrupted

\b
Examples:
  ranvier dev --apply fixer.yaml
  ranvier axon create first
  ranvier axon publish AXON user.message '{"content": "Hello"}'
  ranvier axon tail AXON
  ranvier prompt --axon AXON
"""

app = typer.Typer(
    name="ranvier",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EPILOG,
)
app.add_typer(axons.app, name="axon")
app.add_typer(devboxes.app, name="devbox")
app.command("dev", epilog=dev.EPILOG, context_settings=dev.CONTEXT)(dev.dev)
app.command("serve", epilog=serve.EPILOG, context_settings=serve.CONTEXT)(serve.serve)
app.command("verify", epilog=axons.VERIFY_EPILOG)(axons.verify)
app.command("prompt", epilog=prompt.EPILOG)(prompt.prompt)


@app.callback()
def root(
    context: typer.Context,
    base_url: Annotated[
        str | None,
        typer.Option(envvar="RANVIER_BASE_URL", help="Address of the server.", metavar="URL"),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option(envvar="RANVIER_API_KEY", help="Key of the server.", metavar="KEY"),
    ] = None,
) -> None:
    """AI agents that sleep between events: their journals (axons), talk, and a server.

    Without an address, the server that `ranvier dev` or `ranvier serve` starts on this machine is
    meant.
    """
    context.obj = Target(base_url, api_key)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors are sentences on stderr, no tracebacks."""
    try:
        answer: Any = app(arguments, prog_name="ranvier", standalone_mode=False)
    except typer.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except RanvierError as error:
        output.complain(str(error))
        return exit_code(error)
    except output.NobodyReads:  # they have read enough; nothing more may be flushed to them
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if not hasattr(error, "show"):
            raise
        error.show()  # a usage error of the command line library knows how to explain itself
        return int(getattr(error, "exit_code", 2))
    return answer if isinstance(answer, int) else 0


def exit_code(error: RanvierError) -> int:
    """As the epilog of the help lists them."""
    if isinstance(error, ConnectionFailed | NotConfigured | Unauthenticated):
        return EXIT_UNREACHABLE
    return EXIT_NOT_FOUND if isinstance(error, NotFound) else EXIT_FAILED
