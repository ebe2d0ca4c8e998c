"""Asking the API server again: what passes, how long to wait, how far apart the tries are."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Final, TypeVar

from ranvier_broker.http11 import HttpFailed
from ranvier_broker.journal_seam import Lost

ANSWER_SECONDS_MAX: Final = 30.0
SILENCE_SECONDS_MAX: Final = 35.0
"""Longest silence of a stream: the server sends a comment every 10 s."""

DELAY_SECONDS_FIRST: Final = 0.1
DELAY_SECONDS_MAX: Final = 5.0
"""Longest wait between two tries; a journal that is back is noticed within this time."""

PASSING_STATUSES: Final = frozenset({401, 403, 408, 425, 429})
"""Statuses that pass: the token is replaced in time, the identity becomes known, the rate falls."""

log = logging.getLogger("ranvier_broker.journal")

T = TypeVar("T")


class Passing(Exception):
    """What failed may work when tried again."""


class Delays:
    """Growing, scattered waits: many brokers must not come back in step."""

    def __init__(self, seconds_max: float = DELAY_SECONDS_MAX) -> None:
        self._next = DELAY_SECONDS_FIRST
        self._max = seconds_max

    def reset(self) -> None:
        self._next = DELAY_SECONDS_FIRST

    def next(self) -> float:
        delay, self._next = self._next, min(self._next * 2, self._max)
        return delay * random.uniform(0.5, 1.0)


async def until_it_passes(what: str, try_once: Callable[[], Awaitable[T]]) -> T:
    """Its result, however long that takes; what it raises beyond passing failures goes through."""
    delays = Delays()
    while True:
        try:
            return await try_once()
        except (HttpFailed, Passing, OSError, ValueError, KeyError, TypeError) as error:
            delay = delays.next()
            log.warning("%s failed, again in %.1f s: %r", what, delay, error)
            await asyncio.sleep(delay)


def judge(what: str, status: int) -> None:
    """Raises Lost, Passing. 404 passes: the operator may not have told the journal of us yet."""
    if status == HTTPStatus.CONFLICT:
        raise Lost(f"{what}: status {status}")
    if status != HTTPStatus.OK:
        raise Passing(f"{what}: status {status}")
