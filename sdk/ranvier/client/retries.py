"""Whether and when a call is sent again. Pure: `chance` is a random number in [0, 1).

As the published clients do: what was not answered, 408, 409, 429 and 5xx are tried again, unless
the server's `x-should-retry` says otherwise, after the time that it asks for or a growing one.
"""

from collections.abc import Mapping
from typing import Final

FIRST_WAIT_SECONDS: Final = 0.2
WAIT_SECONDS_MAX: Final = 8.0
"""No wait of our own choice is longer."""

ASKED_SECONDS_MAX: Final = 60.0
"""A longer `retry-after` is not obeyed but answered with the error."""

RETRYABLE: Final = frozenset({408, 409, 429})


def backoff(attempt: int, chance: float) -> float:
    """Seconds before the attempt after this one; attempts count from 0. Half of it is jitter."""
    whole = min(FIRST_WAIT_SECONDS * 2.0 ** min(attempt, 16), WAIT_SECONDS_MAX)
    return whole * (0.5 + chance / 2)


def is_retryable(status: int, headers: Mapping[str, str]) -> bool:
    """Whether the same request may be answered otherwise later."""
    said = headers.get("x-should-retry", "").lower()
    if said in ("true", "false"):
        return said == "true"
    return status in RETRYABLE or status >= 500


def after_answer(
    attempt: int, status: int, headers: Mapping[str, str], chance: float
) -> float | None:
    """Seconds to wait before the call is sent again, or None when the answer stands."""
    if not is_retryable(status, headers):
        return None
    asked = asked_seconds(headers)
    if asked is not None and asked > ASKED_SECONDS_MAX:
        return None
    own = backoff(attempt, chance)
    return own if asked is None else asked + own * chance


def asked_seconds(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, else `retry-after` in seconds; dates are not read (Ranvier sends none)."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) / unit
        except ValueError:
            continue
        if seconds >= 0:
            return seconds
    return None
