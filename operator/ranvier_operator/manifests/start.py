"""What the devbox container runs: launch commands, then the launcher, and the entrypoint beside it.
PURE.

Any image with /bin/sh runs this. Commands are passed as arguments and never become part of the
script, so nothing in them needs quoting.
"""

from typing import Final

from ranvier_operator.manifests.broker import BIN_DIR, IO_DIR, literal

AWAIT_LAUNCHER: Final = f"until [ -f {BIN_DIR}/launcher.sh ]; do sleep 0.05 || sleep 1; done; "
"""`sleep 0.05` fails where sleep takes whole seconds only."""
RUN_COMMANDS: Final = (
    'for command in "$@"; do /bin/sh -c "$command" || { status=$?; '
    'echo "ranvier: this launch command failed with exit code $status: $command" >&2; '
    "exit $status; }; done; "
)
LAUNCHER: Final = f"/bin/sh {BIN_DIR}/launcher.sh {IO_DIR}"
WITH_ENTRYPOINT: Final = (
    f"{LAUNCHER} & launcher=$!; "
    '/bin/sh -c "$entrypoint" & main=$!; '
    "trap 'kill -TERM \"$main\" 2>/dev/null' TERM INT; "
    # A signal ends `wait` early; the entrypoint is given its time to end all the same.
    'wait "$main"; status=$?; '
    'while kill -0 "$main" 2>/dev/null; do wait "$main"; status=$?; done; '
    'kill -TERM "$launcher"; wait "$launcher"; exit $status'
)
"""The container ends with the entrypoint, and has its exit code."""


def start_command(launch_commands: tuple[str, ...], entrypoint: str | None) -> list[str]:
    """The command of the devbox container. A failing launch command ends it with its exit code."""
    take = "" if entrypoint is None else "entrypoint=$1; shift; "
    run = RUN_COMMANDS if launch_commands else ""
    end = f"exec {LAUNCHER}" if entrypoint is None else WITH_ENTRYPOINT
    script = take + AWAIT_LAUNCHER + run + end
    given = launch_commands if entrypoint is None else (entrypoint, *launch_commands)
    name = ["ranvier-start"] if given else []
    return ["/bin/sh", "-c", *map(literal, [script, *name, *given])]
