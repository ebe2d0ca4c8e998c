"""Starts API server processes in milliseconds: a process that has all code loaded forks them.

Run as a program it reads a line for each process to start: the arguments as JSON, where its log
goes, and how long its commits are held up. It answers with the number of the process. For tests
that start hundreds.
"""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any


class Loaded:
    """The process that forks; `close` ends it, and leaves its children to those who own them."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(self, arguments: list[str], log: str, commit_delay: float = 0.0) -> int:
        """The number of a process that runs `ranvier-apiserver` and logs to this named pipe.

        With `commit_delay` a transaction begins to be written so many seconds after it was decided:
        whoever hears of it meanwhile was told too early, and a kill shows that.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([arguments, log, commit_delay]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


def _hold_up_commits(engine: Any, seconds: float) -> None:
    commit = engine.commit

    def late(self: Any, draft: Any) -> None:
        time.sleep(seconds)
        commit(self, draft)

    engine.commit = late


def _child(arguments: list[str], log: str, commit_delay: float, main: Any, engines: Any) -> None:
    for number in (signal.SIGCHLD, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    nothing, out = os.open(os.devnull, os.O_RDWR), os.open(log, os.O_WRONLY)
    for target in (0, 1):
        os.dup2(nothing, target)
    os.dup2(out, 2)
    if commit_delay:
        for engine in engines:
            _hold_up_commits(engine, commit_delay)
    sys.argv = ["ranvier-apiserver", *arguments]
    main()


def _main() -> None:
    from ranvier_apiserver.__main__ import main
    from ranvier_apiserver.journal.postgresql.engine import PostgresEngine
    from ranvier_apiserver.journal.sqlite_engine import SqliteEngine

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(*json.loads(line), main, (SqliteEngine, PostgresEngine))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    _main()
