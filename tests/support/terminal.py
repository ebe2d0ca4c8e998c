"""A program on a pseudo-terminal: type, press Ctrl-C, wait for what the screen shows."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from types import TracebackType
from typing import Self

SHOWN_SECONDS_MAX = 20.0
CHUNK_BYTES = 65536


class Terminal:
    """One program; `screen` is all that it has written so far, with colours."""

    def __init__(
        self, command: list[str], env: dict[str, str], patience: float = SHOWN_SECONDS_MAX
    ) -> None:
        self._command = command
        self._patience = patience
        self._env = env
        self.screen = ""
        self._seen = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def __enter__(self) -> Self:
        # In a new session the terminal is its own, and Ctrl-C reaches it and nobody else.
        self.pid, self._master = pty.fork()
        if self.pid == 0:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.execvpe(self._command[0], self._command, {**self._env, "TERM": "xterm"})
        # Wide enough that no line is broken: what is looked for stands in one piece.
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 1000, 0, 0))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._master)

    @property
    def text(self) -> str:
        """The screen without colours and other commands to the terminal."""
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self.screen).replace("\r\n", "\n")

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def enter(self, line: str) -> None:
        """Type a line and wait for its echo, so that it is not taken for an answer."""
        self.type(f"{line}\n")
        self.shows(line)
        self.shows("\n")

    def ctrl_c(self) -> None:
        self.type("\x03")

    def shows(self, what: str) -> str:
        """Wait until this stands on the screen after all that was waited for before."""
        return self.matches(re.escape(what))

    def matches(self, pattern: str) -> str:
        """The same for a regular expression; what stood before its match is returned."""
        deadline = time.monotonic() + self._patience
        start, wanted = self._seen, re.compile(pattern)
        while (found := wanted.search(self.text, start)) is None:
            assert time.monotonic() < deadline, f"no {pattern!r} on:\n{self.text}"
            assert self._read(0.1), f"it ended without {pattern!r}:\n{self.text}"
        self._seen = found.end()
        return self.text[start : found.start()]

    def ends(self) -> int:
        """Wait for its end; the exit code."""
        deadline = time.monotonic() + self._patience
        while self._read(0.1):
            assert time.monotonic() < deadline, f"it has not ended:\n{self.text}"
        _, status = os.waitpid(self.pid, 0)
        self.pid = 0
        return os.waitstatus_to_exitcode(status)

    def _read(self, seconds: float) -> bool:
        """Read what is there; False at its end."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            chunk = os.read(self._master, CHUNK_BYTES)
        except OSError:  # how Linux says that nobody has the terminal open any more
            return False
        self.screen += self._decoder.decode(chunk)
        return bool(chunk)


def unread(command: list[str], env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command whose output nobody reads, as when `| head` has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return subprocess.run(
            command,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SHOWN_SECONDS_MAX,
            check=False,
        )
    finally:
        os.close(writer)
