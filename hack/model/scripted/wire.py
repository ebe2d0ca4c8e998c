"""What the wire formats share: the frame, the stamp and the shape of a format module.

A format module reads the body of a request and writes a reply, whole or as frames. It takes ids and
time from the stamp it is given, so the same reply with the same stamp is the same bytes.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from scripted.conversation import Json, Request, Say

# Every reply reports the same usage: agents want the numbers, no test should depend on real ones.
INPUT_TOKENS = 100
OUTPUT_TOKENS = 10
# A client that learns of the break together with the half before it may never show that half.
BREAK_PAUSE_SECONDS = 0.1


@dataclass(frozen=True)
class Stamp:
    """What makes a reply unlike every other: its serial goes into each id."""

    model: str
    serial: str
    created_at: int


@dataclass(frozen=True)
class Frame:
    """One server-sent event, and how long to wait after it."""

    data: Json | str
    event: str | None = None
    pause_seconds: float = 0.0

    def encode(self) -> bytes:
        """The frame as it goes over the wire."""
        head = f"event: {self.event}\n" if self.event else ""
        data = self.data if isinstance(self.data, str) else json.dumps(self.data)
        return f"{head}data: {data}\n\n".encode()


class Format(Protocol):
    """A module that knows one wire format."""

    def read(self, body: Json) -> Request:
        """The request in the terms of a conversation."""

    def stream(self, reply: Say, stamp: Stamp) -> Iterator[Frame]:
        """The reply in frames."""

    def whole(self, reply: Say, stamp: Stamp) -> Json:
        """The reply as one object."""


def broken(frames: Iterable[Frame], *, is_garbled: bool) -> list[Frame]:
    """The first half of a reply, held until the client has read it, then perhaps garbage."""
    everything = list(frames)
    half = everything[: len(everything) // 2]
    half[-1] = replace(half[-1], pause_seconds=BREAK_PAUSE_SECONDS)
    return [*half, Frame("{not json")] if is_garbled else half
