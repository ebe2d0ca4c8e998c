"""The pages that a transaction changed, read from SQLite's write-ahead log. Pure: bytes in.

https://sqlite.org/fileformat2.html#the_write_ahead_log is the format. The log is of one transaction
that SQLite itself committed a moment ago, so its checksums are not looked at again.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import mmap
from typing import Final

from ranvier_apiserver.journal.wal import FRAME_HEADER_BYTES, HEADER_BYTES

_FRAME: Final = struct.Struct(">II8s")
_SALTS: Final = slice(16, 24)


class UnfinishedLog(ValueError):
    """The log holds frames and no commit."""


@dataclass(frozen=True, slots=True)
class Changes:
    """`pages` maps a page's number to where its content begins in the log. `page_count` is the
    database's size afterwards."""

    page_count: int
    pages: Mapping[int, int]


def changes(log: bytes | mmap, page_bytes: int) -> Changes | None:
    """What the log's one transaction changed; None when that is nothing."""
    pages: dict[int, int] = {}
    salts = log[_SALTS]
    step = FRAME_HEADER_BYTES + page_bytes
    for start in range(HEADER_BYTES, len(log) - step + 1, step):
        number, page_count, frame_salts = _FRAME.unpack_from(log, start)
        if frame_salts != salts:
            break
        pages[number] = start + FRAME_HEADER_BYTES
        if page_count:
            within = {n: at for n, at in pages.items() if n <= page_count}
            return Changes(page_count, within)
    if pages:
        raise UnfinishedLog("the database's log holds no commit")
    return None
