"""`ranvier-dev`: flags, messages, exit status. Wiring only."""

import asyncio
import logging
import sys
from collections.abc import Sequence

from ranvier_dev import supervisor
from ranvier_dev.manifests import BadManifest
from ranvier_dev.settings import parse
from ranvier_dev.supervisor import NotStarted, Ready


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status 0 after Ctrl-C or SIGTERM, 1 when something did not start."""
    settings = parse(argv)
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(levelname)s %(message)s", stream=sys.stderr
    )

    def say(ready: Ready) -> None:
        print(
            f"Ranvier is ready after {ready.seconds:.1f} s; Ctrl-C ends it.\n"
            f"  export RANVIER_BASE_URL={ready.url}\n"
            f"  export RANVIER_API_KEY={ready.api_key}\n"
            f"  state, logs and home directories: {settings.state}\n"
            "Devboxes run as you, on this machine: no isolation, no images, no resource limits.",
            flush=True,
        )

    status = 0
    try:
        asyncio.run(supervisor.run(settings, say))
    except* (NotStarted, BadManifest, OSError) as group:
        for error in leaves(group):
            print(f"ranvier-dev: {error}", file=sys.stderr)
        status = 1
    return status


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors themselves, however deep."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


if __name__ == "__main__":
    sys.exit(main())
