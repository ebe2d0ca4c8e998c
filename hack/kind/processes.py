"""Running other programs: their answer, or a clear error.

Short commands are run for their output. Long ones write to a log file, and only its end is shown
when they fail.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from kind.errors import CommandFailed

# A program and its arguments.
Command = Sequence[str | Path]

# What is shown of a failed program's output: its last lines say why it failed.
TAIL_LINES = 25
# Programs of system administration are not on every user's PATH.
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/sbin", "/sbin")


def system_path(environment: Mapping[str, str] = os.environ) -> str:
    """PATH with the administration folders added at its end."""
    folders = environment.get("PATH", "/usr/local/bin:/usr/bin:/bin").split(":")
    return ":".join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def answer(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    text: str | None = None,
    seconds_max: float | None = None,
) -> str:
    """Run a short command and return its stdout. CommandFailed when it fails or takes too long."""
    words = [str(word) for word in command]
    try:
        finished = subprocess.run(
            words,
            env=_environment(environment),
            cwd=folder,
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            timeout=seconds_max,
            check=False,
        )
    except subprocess.TimeoutExpired as expired:
        raise CommandFailed(words, -1, f"no answer within {seconds_max} s") from expired
    except OSError as error:
        raise CommandFailed(words, 127, str(error)) from error
    if finished.returncode != 0:
        raise CommandFailed(words, finished.returncode, tail(finished.stdout + finished.stderr))
    return finished.stdout


def succeeds(
    command: Command,
    *,
    environment: Mapping[str, str] | None = None,
    seconds_max: float | None = None,
) -> bool:
    """Whether a short command ends well."""
    try:
        answer(command, environment=environment, seconds_max=seconds_max)
    except CommandFailed:
        return False
    return True


def run_logged(
    command: Command,
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> None:
    """Run a long command with all its output going to `log` (appended)."""
    words = [str(word) for word in command]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        start = sink.tell()
        try:
            finished = subprocess.run(
                words,
                env=_environment(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except OSError as error:
            raise CommandFailed(words, 127, str(error)) from error
    if finished.returncode != 0:
        said = log.read_bytes()[start:].decode(errors="replace")
        raise CommandFailed(words, finished.returncode, f"{tail(said)}\n(all of it: {log})")


def lines_of(command: Command, *, environment: Mapping[str, str] | None = None) -> list[str]:
    """Non-empty lines of a short command's answer."""
    said = answer(command, environment=environment)
    return [line.strip() for line in said.splitlines() if line.strip()]


def tail(output: str) -> str:
    return "\n".join(output.strip().splitlines()[-TAIL_LINES:])


def _environment(changes: Mapping[str, str] | None) -> dict[str, str]:
    environment = {**os.environ, "PATH": system_path()}
    environment.update(changes or {})
    return environment
