"""Starts API server processes in milliseconds: a process that has all code loaded forks them.

Run as a program it reads a line for each process to start: the arguments as JSON, and where its
log goes. It answers with the number of the process. For tests that start hundreds.
"""

import json
import os
import signal
import subprocess
import sys
from typing import Any


class Loaded:
    """The process that forks; `close` ends it, and leaves its children to those who own them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: list[str], log: str) -> int:
        """The number of a process that runs `ranvier-apiserver` and logs to this named pipe."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, log]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _child(arguments: list[str], log: str, main: Any) -> None:
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nothing, out = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY)
    for target in (0, 1):
        os.dup2(nothing, target)
    os.dup2(out, 2)
    sys.argv = ["ranvier-apiserver", *arguments]
    main()


def _main() -> None:
    from ranvier_apiserver.__main__ import main
    from ranvier_apiserver.journal.postgresql import engine  # noqa: F401 - loaded here, once

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(*json.loads(line), main)
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    _main()
