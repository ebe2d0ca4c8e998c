"""What an agent writes besides its protocol, as lines for the axon: within a rate and a length.

stderr is always drained, whatever it says; a chatty agent must neither fill the journal nor block.
What went over the rate is counted, and the count is told when the rate allows it again.
"""

from typing import Final

LINE_CHARACTERS_MAX: Final = 4096
"""The rest of a longer line is cut off."""

LINES_PER_SECOND: Final = 20
LINES_AT_ONCE_MAX: Final = 200
"""A stack trace fits; a debug log does not."""


class LogLines:
    """Bytes of one process in, lines out."""

    def __init__(self) -> None:
        self._partial = b""
        self._allowance = float(LINES_AT_ONCE_MAX)
        self._filled_ms = 0
        self._dropped = 0

    def feed(self, data: bytes, now_ms: int) -> list[str]:
        """Take the next bytes; return the lines that may be told."""
        *ends, rest = data.split(b"\n")
        lines: list[str] = []
        for end in ends:
            self._grow(end)
            self._tell(lines, now_ms)
            self._partial = b""
        self._grow(rest)
        return lines

    def finish(self, now_ms: int) -> list[str]:
        """The process has ended: return its last line, and how many were dropped."""
        lines: list[str] = []
        self._tell(lines, now_ms)
        self._partial = b""
        if self._dropped:
            lines.append(self._count())
        return lines

    def _grow(self, part: bytes) -> None:
        # Four bytes are the longest character: enough is kept to fill a line, never more.
        self._partial = (self._partial + part)[: 4 * LINE_CHARACTERS_MAX]

    def _tell(self, lines: list[str], now_ms: int) -> None:
        line = self._partial.decode(errors="replace").rstrip()[:LINE_CHARACTERS_MAX]
        if not line:
            return
        passed_ms = max(0, now_ms - self._filled_ms)
        self._filled_ms = now_ms
        self._allowance = min(
            self._allowance + passed_ms * LINES_PER_SECOND / 1000, LINES_AT_ONCE_MAX
        )
        if self._allowance < 1:
            self._dropped += 1
            return
        if self._dropped:
            lines.append(self._count())
        self._allowance -= 1
        lines.append(line)

    def _count(self) -> str:
        dropped, self._dropped = self._dropped, 0
        return f"… {dropped} lines were dropped: more than {LINES_PER_SECOND} a second"
