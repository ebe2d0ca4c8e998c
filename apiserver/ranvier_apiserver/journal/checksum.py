"""The checksum of an event's row, over every field (J7). Pure, and light enough for any process."""

import zlib
from typing import Any


def event_checksum(fields: tuple[Any, ...]) -> int:
    """`fields` are the columns of an event as `rows.EVENT_FIELDS` orders them, without the last."""
    return zlib.crc32(fields[6], zlib.crc32(f"{_first_fields(fields)}{fields[8]}\0".encode()))


def is_whole(row: tuple[Any, ...]) -> bool:
    """Whether the row is what was written: all columns of an event, the checksum last."""
    kept: int = row[-1]
    try:
        return kept == event_checksum(row[:-1]) or kept == _before_inbound(row)
    except TypeError:
        # A value of another type than was written.
        return False


def _before_inbound(fields: tuple[Any, ...]) -> int:
    """As it was before events told of `inbound`; what was written then stays as it is."""
    return zlib.crc32(fields[6], zlib.crc32(_first_fields(fields).encode()))


def _first_fields(fields: tuple[Any, ...]) -> str:
    """The numbers stand as the first version wrote them, a list in Python's words: every journal
    has these checksums."""
    axon, sequence, timestamp_ms, origin, source, event_type, _, total_bytes, *_ = fields
    scalars = f"[{axon!r}, {sequence!r}, {timestamp_ms!r}, {origin!r}]"
    return f"{scalars}\0{source}\0{event_type}\0{total_bytes}\0"
