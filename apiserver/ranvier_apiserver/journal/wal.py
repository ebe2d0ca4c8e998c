"""Judges the write-ahead log that a crash left behind, before SQLite sees it. Pure: bytes in.

SQLite replays a log up to the first frame that does not verify and silently forgets the rest. Right
after a power cut that is the unfinished transaction; after damage it would be acknowledged events.
The two can be told apart: each commit is synced before the next one starts, so at most one commit
can lie behind the first bad frame. More than that was acknowledged, and must not be forgotten (J7).
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap
from typing import Final

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
Log = bytes | mmap
"""What is sliced, measured and unpacked; mapped, a long one takes no memory."""

_LITTLE, _BIG = 0x377F0682, 0x377F0683


@dataclass(frozen=True, slots=True)
class Verdict:
    """`lost_commits`: whether a replay would forget acknowledged commits (counts the first)."""

    frames_good: int
    lost_commits: int


@dataclass(frozen=True, slots=True)
class _Frame:
    salts: bytes
    commits: bool
    checksum: tuple[int, int]
    head: bytes
    page: bytes


def judge(log: Log, page_bytes: int) -> Verdict:
    """Walk the log as SQLite's recovery does, then look at what it would leave behind.

    `page_bytes` are the main file's; a log whose header is whole says its own.
    """
    if len(log) < HEADER_BYTES:
        return Verdict(0, 0)
    magic = int.from_bytes(log[:4], "big")
    order = ">" if magic == _BIG else "<"
    running = _checksum(log[:24], order, (0, 0))
    # Behind a bad header SQLite reads nothing at all.
    bad = magic not in (_LITTLE, _BIG) or running != struct.unpack_from(">II", log, 24)
    if not bad:
        page_bytes = int.from_bytes(log[8:12], "big")
    salts, good, behind = None if bad else log[16:24], 0, 0
    for frame in _frames(log, page_bytes):
        salts = salts or frame.salts
        if frame.salts != salts:
            # Left over from before the log was last begun anew, and in the main file; or its salts
            # are what was damaged, and then frames of ours lie behind it.
            bad = True
            continue
        if behind:
            # Something was written after a commit behind the bad frame: that one was synced.
            return Verdict(good, behind)
        if not bad:
            running = _checksum(frame.page, order, _checksum(frame.head, order, running))
            bad = running != frame.checksum
        if not bad:
            good += 1
        elif frame.commits:
            behind += 1
    return Verdict(good, 0)


def _frames(log: Log, page_bytes: int) -> Iterator[_Frame]:
    step = FRAME_HEADER_BYTES + page_bytes
    for start in range(HEADER_BYTES, len(log) - step + 1, step):
        _, commit, first, second = struct.unpack_from(">IIxxxxxxxxII", log, start)
        page = start + FRAME_HEADER_BYTES
        yield _Frame(
            log[start + 8 : start + 16],
            commit != 0,
            (first, second),
            log[start : start + 8],
            log[page : page + page_bytes],
        )


def _checksum(data: bytes, order: str, running: tuple[int, int]) -> tuple[int, int]:
    first, second = running
    for even, odd in struct.iter_unpack(f"{order}II", data):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
