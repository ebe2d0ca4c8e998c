"""The last lines of an output. Pure."""

from collections.abc import Callable
from typing import Final

TAIL_BYTES_MAX: Final = 1024 * 1024
"""However long its lines are, a tail has no more than this; the stream has everything."""

STEP_BYTES: Final = 64 * 1024

Read = Callable[[int, int], bytes]
"""Bytes from an offset on, at most so many."""


def last_lines(read: Read, size: int, lines: int) -> tuple[bytes, bool]:
    """The last `lines` lines, and whether something stands before them.

    It starts at a line's beginning, or where TAIL_BYTES_MAX cuts the line.
    """
    if lines <= 0:
        return b"", size > 0
    start, tail = size, b""
    while start > 0 and len(tail) < TAIL_BYTES_MAX:
        step = min(STEP_BYTES, start, TAIL_BYTES_MAX - len(tail))
        start -= step
        tail = read(start, step) + tail
        found = _line_start(tail, lines)
        if found is not None:
            return tail[found:], start + found > 0
    return tail, start > 0


def _line_start(tail: bytes, lines: int) -> int | None:
    """Where the last `lines` lines begin, if so many line ends lie before them."""
    end = len(tail) - 1 if tail.endswith(b"\n") else len(tail)
    for _ in range(lines):
        end = tail.rfind(b"\n", 0, end)
        if end < 0:
            return None
    return end + 1
