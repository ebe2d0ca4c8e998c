"""The wall clock, read here and nowhere else in this package; tests pass their own."""

import time
from collections.abc import Callable

Clock = Callable[[], int]
"""Milliseconds since the epoch."""


def wall_clock_ms() -> int:
    """The system's clock. The journal makes timestamps of one axon monotone itself."""
    return time.time_ns() // 1_000_000
