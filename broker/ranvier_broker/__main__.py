"""`ranvier-broker`: reads the environment and runs the shell until told to stop.

Start-up is on the way of every wake: only light modules are imported, neither pydantic nor httpx,
and the journal's client only after the agent was started.
"""

import asyncio
import logging
import os
import signal
import sys
import time

from ranvier_broker import settings as settings_module
from ranvier_broker.journal_seam import Journal, Refused
from ranvier_broker.settings import BadSetting, Settings
from ranvier_broker.shell import Broker

log = logging.getLogger("ranvier_broker")


def main() -> None:
    """Entry point. Status 0: stopped or fenced; 1: refused; 2: the environment is wrong."""
    started_ms = time.time_ns() // 1_000_000
    if sys.argv[1:]:
        _usage()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    try:
        settings = settings_module.read(os.environ)
    except BadSetting as error:
        print(f"ranvier-broker: {error}", file=sys.stderr)
        sys.exit(2)
    sys.exit(_serve(settings, started_ms))


def _serve(settings: Settings, started_ms: int) -> int:
    status = 0
    try:
        asyncio.run(_run(settings, started_ms))
    except* Refused as refused:
        # A new process attaches anew, which closes the open turn and starts from the journal.
        log.error("the journal refused what this broker wrote: %r", refused.exceptions)
        status = 1
    return status


async def _run(settings: Settings, started_ms: int) -> None:
    broker = Broker(settings, lambda: _load_journal(settings), started_ms)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, broker.stop, signal.Signals(number).name)
    await broker.run()


def _load_journal(settings: Settings) -> Journal:
    from ranvier_broker.journal import HttpJournal

    return HttpJournal(settings)


def _usage() -> None:
    import argparse

    variables = "\n".join(f"  {n:22} {text}" for n, text in settings_module.VARIABLES.items())
    parser = argparse.ArgumentParser(
        prog="ranvier-broker",
        description="Stands between a devbox's agents and their axons.",
        epilog=f"environment:\n{variables}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()


if __name__ == "__main__":
    main()
