"""Everything together: watch events in, looks out, by one replica at a time.

`observe` takes what the watches tell, on every replica, so a standby is warm. Only the leader
looks: the queue opens when the lease is won and everything was listed once, and closes when it is
lost. Two slow loops stand behind the watches: the journal is asked every few seconds for devboxes
that are out of step (a lost poke, a dead watch, W2), and everything is listed once a minute.
"""

import asyncio
import logging
from collections.abc import Iterator
from typing import Any, Final

from ranvier_operator.axons import Axons, Blueprints
from ranvier_operator.cache import Cache, key_of
from ranvier_operator.clock import Clock
from ranvier_operator.cluster import Cluster
from ranvier_operator.election import WRITE_SECONDS_MAX, Election
from ranvier_operator.errors import JournalError, NotLeading, OperatorError
from ranvier_operator.journal import Journal
from ranvier_operator.kinds import AXONS, BLUEPRINTS, CLAIMS, DEVBOXES, PODS, Key, Kind, RawObject
from ranvier_operator.metrics import Metrics
from ranvier_operator.naming import volume_name
from ranvier_operator.reconcile import Devboxes
from ranvier_operator.settings import Settings
from ranvier_operator.sweep import SWEEP_SECONDS, Sweep
from ranvier_operator.wakes import Wakes
from ranvier_operator.workqueue import WorkQueue

log = logging.getLogger(__name__)

RESYNC_SECONDS: Final = 4.0
"""How often the journal is asked who is out of step; a lost poke is repaired within 5 s (W2)."""
SWEEP_RETRY_SECONDS: Final = 1.0
ALIVE_SECONDS: Final = 60.0
"""An election that made no step for this long means that the process hangs."""
_ADDED: Final = "ADDED"
_DELETED: Final = "DELETED"


class Controller:
    """The operator without its watches."""

    def __init__(
        self, cluster: Cluster, journal: Journal, settings: Settings, clock: Clock
    ) -> None:
        self._journal = journal
        self._clock = clock
        self.cache = Cache()
        self.queue: WorkQueue[Key] = WorkQueue(self._measured, workers=settings.workers)
        self.election = Election(
            cluster,
            namespace=settings.own_namespace,
            name=settings.lease_name,
            identity=settings.identity,
            clock=clock,
            gained=self._gained,
            lost=self._lost,
        )
        guard = self.election.require
        self._devboxes = Devboxes(cluster, journal, self.cache, settings, clock, guard)
        self._axons = Axons(cluster, journal, self.cache, clock, guard)
        self._blueprints = Blueprints(cluster, self.cache, clock, guard)
        self._sweep = Sweep(cluster, journal, self.cache, settings, guard, self._look_sometime)
        self._wakes = Wakes()
        self.metrics = Metrics(lambda: len(self.queue), lambda: self.election.leading)
        self._leading = asyncio.Event()
        self._due = asyncio.Event()
        self._stepped_at = clock.monotonic()

    # --- what the watches tell

    def observe(self, kind: Kind, event_type: str | None, body: RawObject) -> None:
        """One watch event. `event_type` is None for what a watch lists when it begins."""
        metadata = body["metadata"]
        known = self.cache.get(kind, metadata["namespace"], metadata["name"])
        if kind == PODS and self.election.leading:
            self._time(event_type, body)
        if event_type == _DELETED:
            self.cache.drop(kind, body)
        elif not self.cache.put(kind, body):
            return  # our own write, or older than it
        for key in self._concerned(kind, known, None if event_type == _DELETED else body):
            self.queue.add(key)

    def _time(self, event_type: str | None, pod: RawObject) -> None:
        """Pods tell how far their wake has come."""
        if event_type == _DELETED:
            self._wakes.gone(pod)
            return
        owner = next(self._devboxes_of(PODS, pod), None)
        devbox = owner and self.cache.get(DEVBOXES, owner.namespace, owner.name)
        wake = ((devbox or {}).get("status") or {}).get("wake")
        is_new = event_type == _ADDED
        for phase in self._wakes.seen(pod, wake, is_new, self._clock.wall()):
            self.metrics.woke(phase)

    def _concerned(self, kind: Kind, old: RawObject | None, new: RawObject | None) -> Iterator[Key]:
        """Who has to be looked at when this object changed."""
        body = new or old
        if body is None:
            return
        key = key_of(kind, body)
        if kind in (PODS, CLAIMS):
            yield from self._devboxes_of(kind, body)
            return
        yield key
        if kind == AXONS and _axon_id(old) != _axon_id(new):
            yield from self._users(key, "brokerMount")
        if kind == BLUEPRINTS and (old or {}).get("spec") != (new or {}).get("spec"):
            yield from self._users(key, "blueprintName")

    def _devboxes_of(self, kind: Kind, body: RawObject) -> Iterator[Key]:
        """The devbox that a pod or claim belongs to, or whose place it takes."""
        metadata = body["metadata"]
        for reference in metadata.get("ownerReferences") or ():
            if reference["kind"] == DEVBOXES.name:
                yield Key(DEVBOXES.name, metadata["namespace"], reference["name"])
                return
        for devbox in self.cache.of(DEVBOXES, metadata["namespace"]):
            name = devbox["metadata"]["name"]
            if metadata["name"] == (volume_name(name) if kind == CLAIMS else name):
                yield key_of(DEVBOXES, devbox)

    def _users(self, key: Key, field: str) -> Iterator[Key]:
        """The devboxes that refer to this Axon or Blueprint."""
        for devbox in list(self.cache.of(DEVBOXES, key.namespace)):
            if key.name in _references(devbox.get("spec") or {}, field):
                yield key_of(DEVBOXES, devbox)

    # --- looking

    async def _measured(self, key: Key) -> float | None:
        began = self._clock.monotonic()
        try:
            return await self._look(key)
        except NotLeading:
            raise
        except Exception as error:
            self.metrics.failed(key.kind, error)
            raise
        finally:
            self.metrics.looked(key.kind, self._clock.monotonic() - began)

    async def _look(self, key: Key) -> float | None:
        if key.kind == DEVBOXES.name:
            return await self._devboxes.look(key)
        if key.kind == AXONS.name:
            bound_before = _axon_id(self.cache.get(AXONS, key.namespace, key.name))
            again = await self._axons.look(key)
            if _axon_id(self.cache.get(AXONS, key.namespace, key.name)) != bound_before:
                for user in self._users(key, "brokerMount"):
                    self.queue.add(user)
            return again
        return await self._blueprints.look(key)

    def _look_sometime(self, key: Key) -> None:
        self.queue.add(key, urgent=False)

    # --- leading

    @property
    def is_alive(self) -> bool:
        return self._clock.monotonic() - self._stepped_at < ALIVE_SECONDS

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`: then the looks end, and the lease is given back if they did in time."""
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(work, name=name)
                for name, work in (
                    ("queue", self.queue.run()),
                    ("sweep", self._sweeps()),
                    ("resync", self._resyncs()),
                )
            ]
            while not stop.is_set():
                pause = await self.election.step()
                self._stepped_at = self._clock.monotonic()
                await _wait(stop, pause)
            await self.election.release()
            for task in tasks:
                task.cancel()

    def _gained(self) -> None:
        self._leading.set()
        self._due.set()

    async def _lost(self) -> bool:
        self._leading.clear()
        return await self.queue.close(WRITE_SECONDS_MAX * 2)

    async def _sweeps(self) -> None:
        """List everything when the lease is won, and once a minute from then on."""
        while True:
            await self._leading.wait()
            self._due.clear()
            try:
                await self._sweep.run()
            except OperatorError as error:
                log.warning("sweep failed: %s", error)
                await asyncio.sleep(SWEEP_RETRY_SECONDS)
                continue
            if self._leading.is_set():
                self.queue.open()
            await _wait(self._due, SWEEP_SECONDS)

    async def _resyncs(self) -> None:
        """Ask the journal who is out of step."""
        failing = False
        while True:
            await self._leading.wait()
            try:
                views = await self._journal.devboxes()
            except JournalError as error:
                if not failing:
                    log.warning("the journal is away, pokes are followed without it: %s", error)
                failing = True
            else:
                if failing:
                    log.warning("the journal is back")
                failing = False
                for key in self._devboxes.out_of_step(views):
                    self.queue.add(key)
            await asyncio.sleep(RESYNC_SECONDS)


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return


def _axon_id(body: RawObject | None) -> str | None:
    if body is None:
        return None
    return str((body.get("status") or {}).get("axonId") or "")


def _references(spec: dict[str, Any], field: str) -> set[str]:
    """Names that a devbox's spec refers to: of its Blueprint, or of its mounts' Axons."""
    if field == "blueprintName":
        return {spec.get("blueprintName") or ""}
    mounts = (mount.get("brokerMount") or {} for mount in spec.get("mounts") or ())
    return {(mount.get("axonRef") or {}).get("name") or "" for mount in mounts}
