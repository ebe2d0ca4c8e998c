"""What the devbox container runs: files and clones, launch commands, then the launcher, and the
entrypoint beside it. PURE.

Any image with /bin/sh runs this. Commands are passed as arguments and never become part of the
script, so nothing in them needs quoting.
"""

from typing import Final

from ranvier_operator.manifests.broker import BIN_DIR, IO_DIR, literal
from ranvier_operator.manifests.supplies import FAIL, Supplies, script, words

AWAIT_LAUNCHER: Final = f"until [ -f {BIN_DIR}/launcher.sh ]; do sleep 0.05 || sleep 1; done; "
"""`sleep 0.05` fails where sleep takes whole seconds only."""
RUN_COMMANDS: Final = (
    FAIL + 'for command in "$@"; do /bin/sh -c "$command" || '
    'fail "This launch command failed with exit code $?: $command" "$?"; done; '
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


def start_command(
    launch_commands: tuple[str, ...],
    entrypoint: str | None,
    supplies: Supplies = (),
    home: str = "",
) -> list[str]:
    """The command of the devbox container. What fails in it ends it, with an exit code and a
    sentence."""
    take = "" if entrypoint is None else "entrypoint=$1; shift; "
    run = RUN_COMMANDS if launch_commands else ""
    end = f"exec {LAUNCHER}" if entrypoint is None else WITH_ENTRYPOINT
    given = launch_commands if entrypoint is None else (entrypoint, *launch_commands)
    command = ["/bin/sh", "-c", take + AWAIT_LAUNCHER + run + end, *_named(given)]
    if supplies:
        # The rest is another process image: clones' tokens are in nobody's environment then.
        before = FAIL + script(supplies) + 'exec "$@"'
        command = ["/bin/sh", "-c", before, *_named((*words(supplies, home), *command))]
    return [literal(word) for word in command]


def _named(words: tuple[str, ...]) -> list[str]:
    """Arguments of `sh -c`, after the name that its messages begin with."""
    return ["ranvier-start", *words] if words else []
