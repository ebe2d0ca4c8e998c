"""A keyed, level-triggered queue: "look at this again", never "this happened".

However often a key is added, one look is due; while a worker looks at it, no other worker does, and
what was added meanwhile leads to exactly one more look. A look that fails is repeated with
back-off; a look that asks for another one later gets it. Urgent keys (something happened) pass over
the others (a resync), so a wake does not wait behind a thousand routine looks.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from ranvier_operator.errors import Conflict, NotLeading, OperatorError

K = TypeVar("K")

log = logging.getLogger(__name__)

RETRY_SECONDS_MIN: Final = 0.2
"""First pause after a failed look: a conflict or a hiccup is over by then."""
RETRY_SECONDS_MAX: Final = 30.0
"""Longest pause: what is still broken is looked at twice a minute."""
JITTER: Final = 0.2
"""Pauses are spread by ±20 %, so that what broke together does not come back together."""
CONFLICTS_MAX: Final = 5
"""Conflicts in a row that are repeated at once: each means that a newer state can be seen."""


def retry_seconds(failures: int, spread: float) -> float:
    """Pause after `failures` failed looks in a row; `spread` is a random number from 0 to 1."""
    pause = min(RETRY_SECONDS_MIN * 2.0 ** min(failures - 1, 30), RETRY_SECONDS_MAX)
    return pause * (1 - JITTER + 2 * JITTER * spread)


@dataclass(slots=True)
class _Lanes(Generic[K]):
    """The keys that wait, each once, urgent ones first."""

    urgent: deque[K] = field(default_factory=deque)
    routine: deque[K] = field(default_factory=deque)
    waiting: dict[K, bool] = field(default_factory=dict)

    def push(self, key: K, urgent: bool) -> None:
        known = self.waiting.get(key)
        if known or (known is False and not urgent):
            return
        self.waiting[key] = urgent
        (self.urgent if urgent else self.routine).append(key)

    def pop(self) -> K | None:
        """The next key. A key that was promoted is skipped at its old place."""
        while self.urgent:
            key = self.urgent.popleft()
            if self.waiting.pop(key, None) is not None:
                return key
        while self.routine:
            key = self.routine.popleft()
            if self.waiting.get(key) is False:
                del self.waiting[key]
                return key
        return None


class WorkQueue(Generic[K]):
    """Hands keys to `look`, which returns in how many seconds it wants to look again, or None."""

    def __init__(
        self,
        look: Callable[[K], Awaitable[float | None]],
        *,
        workers: int,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self._look = look
        self._workers = workers
        self._spread = spread
        self._lanes: _Lanes[K] = _Lanes()
        self._active: set[K] = set()
        self._again: dict[K, bool] = {}
        self._failures: dict[K, int] = {}
        self._timers: dict[K, asyncio.TimerHandle] = {}
        self._open = False
        self._changed = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()

    def __len__(self) -> int:
        return len(self._lanes.waiting)

    def add(self, key: K, *, urgent: bool = True) -> None:
        """Have a look at `key` soon."""
        if key in self._active:
            self._again[key] = self._again.get(key, False) or urgent
            return
        self._lanes.push(key, urgent)
        self._changed.set()

    def forget(self, key: K) -> None:
        """`key` is gone: no timer and no back-off remain of it."""
        self._cancel_timer(key)
        self._failures.pop(key, None)

    def open(self) -> None:
        """Start handing out keys. A new queue is closed, and takes keys meanwhile."""
        self._open = True
        self._changed.set()

    async def close(self, seconds: float) -> bool:
        """Hand out no more keys; True when the last look ended within `seconds`."""
        self._open = False
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        """Works until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._changed.wait()
                self._changed.clear()
                while self._open and len(self._active) < self._workers:
                    key = self._lanes.pop()
                    if key is None:
                        break
                    self._begin(key)
                    group.create_task(self._work(key), name=f"look at {key}")

    def _begin(self, key: K) -> None:
        self._cancel_timer(key)
        self._active.add(key)
        self._quiet.clear()

    async def _work(self, key: K) -> None:
        try:
            pause = await self._look_safely(key)
        finally:
            self._active.discard(key)
            if not self._active:
                self._quiet.set()
            self._changed.set()
        if key in self._again:
            self.add(key, urgent=self._again.pop(key))
        elif pause is not None:
            self._add_later(key, pause)

    async def _look_safely(self, key: K) -> float | None:
        """One look; what it raises becomes a pause."""
        try:
            pause = await self._look(key)
        except NotLeading:
            return None  # whoever leads looks at everything when it begins
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            if isinstance(error, Conflict) and failures <= CONFLICTS_MAX:
                return 0
            pause = retry_seconds(failures, self._spread())
            expected = isinstance(error, OperatorError)
            log.warning(
                "%s: %s; next try in %.1f s",
                key,
                error,
                pause,
                exc_info=None if expected else error,
            )
            return pause
        self._failures.pop(key, None)
        return pause

    def _add_later(self, key: K, seconds: float) -> None:
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(
            max(0.0, seconds), self._add_now, key
        )

    def _add_now(self, key: K) -> None:
        self._timers.pop(key, None)
        self.add(key)

    def _cancel_timer(self, key: K) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
