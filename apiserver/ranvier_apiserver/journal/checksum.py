"""The checksum of an event's row, over every field (J7). Pure, and light enough for any process."""

import zlib
from typing import Any


def event_checksum(fields: tuple[Any, ...]) -> int:
    """`fields` are the columns of an event as `rows.EVENT_FIELDS` orders them, without the last.

    The numbers stand as the first version wrote them, a list in Python's words: every journal has
    these checksums.
    """
    axon, sequence, timestamp_ms, origin, source, event_type, payload, total_bytes = fields
    scalars = f"[{axon!r}, {sequence!r}, {timestamp_ms!r}, {origin!r}]"
    head = f"{scalars}\0{source}\0{event_type}\0{total_bytes}\0".encode()
    return zlib.crc32(payload, zlib.crc32(head))
