"""Server-sent events, read: bytes in any chunking become whole events (WHATWG HTML, 9.2.6).

Pure: the caller does the reading. Only `event` and `data` matter on Ranvier's streams; `id`,
`retry` and unknown fields are passed over, as are comments (`: ping`). An event that the stream's
end cut off is never delivered: the reader subscribes again after the last sequence that it has.
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

DEFAULT_EVENT: Final = "message"
"""Name of an event whose frame has no `event:` line."""

_LINE_END: Final = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One dispatched event."""

    event: str
    data: str


class SseParser:
    """Turns the bytes of one stream into events; a new connection takes a new parser."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._partial: list[str] = []
        self._after_cr = False
        self._at_start = True
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take the next bytes; return the events that they completed, in order."""
        text = self._decoder.decode(chunk)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        if self._after_cr and text:
            # The CR that closed the last line may turn out to be the first half of CR LF.
            text = text.removeprefix("\n")
            self._after_cr = False
        if not text:
            return []
        self._after_cr = text.endswith("\r")
        *lines, rest = _LINE_END.split(text)
        if not lines:
            # A long line may arrive in many chunks: joining them once keeps this linear.
            self._partial.append(rest)
            return []
        lines[0] = "".join([*self._partial, lines[0]])
        self._partial = [rest] if rest else []
        return [event for line in lines if (event := self._line(line)) is not None]

    def _line(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._event = value
        elif field == "data":
            self._data.append(value)
        return None

    def _dispatch(self) -> ServerSentEvent | None:
        event, data = self._event or DEFAULT_EVENT, self._data
        self._event, self._data = "", []
        return ServerSentEvent(event, "\n".join(data)) if data else None
