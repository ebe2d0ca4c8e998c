"""Tells sleeping devboxes that they are wanted (the poke): commit first, poke second (W2).

A poke is a hint and may be lost; `resync` looks at the journal again and again and repairs that,
also for pokes that a killed process owed. Equal pokes write nothing, so repeating them is free of
consequences; still a confirmed one is repeated rarely.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from ranvier_apiserver.errors import RanvierError
from ranvier_apiserver.journal.store import Committed
from ranvier_apiserver.state import Wake

RESYNC_SECONDS: Final = 2.0
CONFIRMED_RESYNC_SECONDS: Final = 30.0
"""A poke that the cluster took stands in the Devbox's status; this repairs a lost status."""

ALIVE_SECONDS: Final = 30.0
"""A resync that is older than this means that the loop hangs."""

PARALLEL: Final = 8
"""Pokes under way at once: enough for a burst, little enough to spare the Kubernetes API."""

PENDING_MAX: Final = 10_000
"""Devboxes that wait to be poked; beyond that the resync finds them."""

log = logging.getLogger(__name__)


class PokeFailed(RanvierError):
    """The cluster could not be told now."""


class Sleepers(Protocol):
    """What the waker asks of the journal."""

    async def wakes(self) -> list[Wake]: ...


class Poker(Protocol):
    async def poke(self, wake: Wake) -> bool:
        """Tell the devbox; False when it does not exist. Raises PokeFailed to be asked again."""
        ...


class RecordingPoker:
    """For local runs and tests: says in the log who would have been poked."""

    def __init__(self) -> None:
        self.pokes: deque[Wake] = deque(maxlen=1000)

    async def poke(self, wake: Wake) -> bool:
        self.pokes.append(wake)
        log.info(
            "poke",
            extra={
                "devbox": wake.devbox_uid,
                "generation": wake.generation,
                "axon_id": wake.axon_id,
                "sequence": wake.sequence,
            },
        )
        return True


class Waker:
    """`committed` hears of wakes, `run` tells them on. `delay_seconds` is for fault tests.

    `report` is told of every poke that it was `done`, its devbox `gone`, or that it `failed`.
    """

    def __init__(
        self,
        sleepers: Sleepers,
        poker: Poker,
        delay_seconds: float = 0.0,
        report: Callable[[Wake, str], None] = lambda _wake, _outcome: None,
    ) -> None:
        self._sleepers = sleepers
        self._poker = poker
        self._delay_seconds = delay_seconds
        self._report = report
        self._pending: dict[str, Wake] = {}
        self._ready = asyncio.Semaphore(0)
        self._told: dict[str, tuple[Wake, float]] = {}
        self._looked = asyncio.get_running_loop().time()

    @property
    def is_alive(self) -> bool:
        return asyncio.get_running_loop().time() - self._looked < ALIVE_SECONDS

    def committed(self, committed: Committed) -> None:
        """A store listener. A reason that was told already is left to the resync."""
        self._queue(w for w in committed.wakes if self._told.get(w.devbox_uid, (None,))[0] != w)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(PARALLEL):
                group.create_task(self._poke_next())
            group.create_task(self._resync())

    def _queue(self, wakes: Iterable[Wake]) -> None:
        for wake in wakes:
            if wake.devbox_uid in self._pending:
                self._pending[wake.devbox_uid] = wake
            elif len(self._pending) < PENDING_MAX:
                self._pending[wake.devbox_uid] = wake
                self._ready.release()

    async def _poke_next(self) -> None:
        while True:
            await self._ready.acquire()
            if self._delay_seconds:
                await asyncio.sleep(self._delay_seconds)
            wake = self._pending.pop(next(iter(self._pending)))
            try:
                exists = await self._poker.poke(wake)
            except PokeFailed as error:
                log.warning("poke failed, will be repeated: %s", error)
                self._report(wake, "failed")
                continue
            self._report(wake, "done" if exists else "gone")
            # One that does not exist is not asked for again until the journal says something new.
            until = CONFIRMED_RESYNC_SECONDS if exists else float("inf")
            again = asyncio.get_running_loop().time() + until
            self._told[wake.devbox_uid] = wake, again

    async def _resync(self) -> None:
        """First at once: a process before this one may have died between commit and poke."""
        while True:
            try:
                wakes = await self._sleepers.wakes()
            except RanvierError as error:
                log.warning("resync failed, will be repeated: %s", error)
            else:
                self._looked = now = asyncio.get_running_loop().time()
                self._told = {w.devbox_uid: t for w in wakes if (t := self._told_of(w))}
                self._queue(w for w in wakes if self._again_at(w) <= now)
            await asyncio.sleep(RESYNC_SECONDS)

    def _told_of(self, wake: Wake) -> tuple[Wake, float] | None:
        told = self._told.get(wake.devbox_uid)
        return told if told is not None and told[0] == wake else None

    def _again_at(self, wake: Wake) -> float:
        told = self._told_of(wake)
        return told[1] if told else 0.0
