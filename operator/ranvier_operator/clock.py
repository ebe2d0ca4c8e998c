"""The two clocks of a running operator. Everything else takes `now` as an argument."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time for what people and other machines read, monotonic time for how long something
    took."""

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds since some moment; never goes back."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        return time.time()  # noqa: TID251 - this is the shell's clock

    def monotonic(self) -> float:
        return time.monotonic()  # noqa: TID251 - this is the shell's clock
