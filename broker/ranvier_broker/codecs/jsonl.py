"""Bytes to lines: the framing of all agent protocols spoken over stdin and stdout.

Any split of the bytes gives the same lines. A line over the limit is a value like any other, not
an error: its bytes are let go as they come, so the memory in use is bounded.
"""

from dataclasses import dataclass
from typing import Final

LINE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Longest line taken from an agent. Real agents wrote lines of 2.4 MB (tool output); the journal's
own limit for a payload is far below, so a line this long can only be a mistake."""


@dataclass(frozen=True, slots=True)
class LineTooLong:
    """A line of `size` bytes, more than the limit; only its beginning was kept."""

    size: int
    beginning: bytes


BEGINNING_BYTES: Final = 200
"""How much of an overlong line is kept, to show people what it was."""


class LineSplitter:
    """Takes the bytes of one stream; gives back whole lines, without their line ends."""

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self._limit = line_bytes_max
        self._parts: list[bytes] = []
        self._size = 0
        self._beginning = b""

    def feed(self, data: bytes) -> list[bytes | LineTooLong]:
        """Take the next bytes; return the lines that they completed. Blank lines are none."""
        *ends, rest = data.split(b"\n")
        lines = []
        for end in ends:
            self._grow(end)
            if (line := self._take()) is not None:
                lines.append(line)
        self._grow(rest)
        return lines

    def finish(self) -> bytes | LineTooLong | None:
        """The stream has ended: return the line that its end cut off, if there is one."""
        return self._take()

    def _grow(self, part: bytes) -> None:
        if not part:
            return
        if len(self._beginning) < BEGINNING_BYTES:
            self._beginning += part[: BEGINNING_BYTES - len(self._beginning)]
        self._size += len(part)
        if self._size <= self._limit:
            self._parts.append(part)
        else:
            self._parts.clear()

    def _take(self) -> bytes | LineTooLong | None:
        size, beginning, line = self._size, self._beginning, b"".join(self._parts)
        self._parts, self._size, self._beginning = [], 0, b""
        if size > self._limit:
            return LineTooLong(size, beginning)
        return line if line.strip() else None
