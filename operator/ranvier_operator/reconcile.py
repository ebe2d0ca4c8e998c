"""Looks at one devbox and brings it where its spec and the journal want it: observe, decide, apply.

Looking is cheap: the cluster is known from the cache, the journal is asked once. A call to wake
that is evidence by itself makes the pod first and asks the journal after. What an action answers
(the journal's "granted", "that pod is gone already") leads to another decision at once, so one look
goes as far as it can. Every error goes up to the work queue, which looks again.
"""

from collections.abc import Callable, Iterable
from typing import Final, TypeVar

from pydantic import ValidationError
from ranvier.internal import DevboxView
from ranvier.resources import AcceptedReason, Axon, Blueprint, Devbox, ObjectMeta

from ranvier_operator.cache import Cache
from ranvier_operator.clock import Clock
from ranvier_operator.cluster import Cluster
from ranvier_operator.errors import Conflict, JournalRefused, JournalUnreachable
from ranvier_operator.hands import Hands
from ranvier_operator.journal import Journal
from ranvier_operator.kinds import AXONS, BLUEPRINTS, CLAIMS, DEVBOXES, PODS, Key, RawObject
from ranvier_operator.lifecycle import decide, poked_generation
from ranvier_operator.naming import pod_name, volume_name
from ranvier_operator.notices import Notices
from ranvier_operator.observed import (
    JournalSeen,
    JournalUnknown,
    Memory,
    Seen,
    pod_seen,
    volume_seen,
)
from ranvier_operator.plans import Notice, Plan
from ranvier_operator.resolution import Problem, Resolution, axon_names, resolve
from ranvier_operator.settings import Settings
from ranvier_operator.status import unreadable

R = TypeVar("R", Axon, Blueprint)

ROUNDS_MAX: Final = 8
"""Decisions in one look. Five at most are needed (ask, delete, create, write, shut down)."""
_NO_SUCH_AXON: Final = frozenset({404, 410})
"""The journal's answers to a binding whose axon it does not hold."""


class Devboxes:
    """All devboxes, one look at a time each."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        cache: Cache,
        settings: Settings,
        clock: Clock,
        guard: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._journal = journal
        self._cache = cache
        self._settings = settings
        self._clock = clock
        self._guard = guard
        self._hands = Hands(cluster, journal, cache, clock)
        self._notices = Notices(cluster, clock)
        self._memories: dict[str, Memory] = {}
        self._bound: dict[Key, str] = {}
        self._views: dict[str, DevboxView] = {}
        self._owed: dict[str, list[Notice]] = {}
        self._away_since: float | None = None

    async def look(self, key: Key) -> float | None:
        """Observe, decide, apply; returns in how many seconds to look again."""
        self._guard()
        body = self._cache.get(DEVBOXES, key.namespace, key.name)
        await self._forget_predecessor(key, body)
        if body is None:
            return None
        try:
            devbox = Devbox.read(body)
        except ValidationError as error:
            await self._report_unreadable(body, error)
            return None
        await self._confirm_end(devbox)
        resolution = self._resolve(devbox)
        if await self._wake_at_once(devbox, resolution):
            # Of many that wake together the others get their pods before this one's status is
            # written: what is left to do here waits behind them.
            return 0.0
        resolution, journal = await self._ask_journal(key, devbox, resolution)
        notices = self._owed.pop(devbox.metadata.uid, [])
        return await self._settle(key, resolution, journal, notices)

    def out_of_step(self, views: Iterable[DevboxView]) -> list[Key]:
        """Devboxes of which the journal says something else than when they were looked at."""
        found = []
        for view in views:
            known = self._views.get(view.uid)
            same = known is not None and (known.generation, known.asleep, known.wanted) == (
                view.generation,
                view.asleep,
                view.wanted,
            )
            waits = view.wanted and self._cache.get(PODS, view.namespace, view.name) is None
            if waits or not same:
                found.append(Key(DEVBOXES.name, view.namespace, view.name))
        return found

    # --- observe

    async def _confirm_end(self, devbox: Devbox) -> None:
        """A pod that should be gone by now may be: a watch that begins anew does not tell."""
        here, name = devbox.metadata.namespace, pod_name(devbox.metadata.name)
        body = self._cache.get(PODS, here, name)
        gone_by = pod_seen(body).gone_by if body is not None else None
        if gone_by is not None and gone_by <= self._clock.wall():
            await self._hands.look(PODS, here, name)

    def _resolve(self, devbox: Devbox) -> Resolution:
        here, spec = devbox.metadata.namespace, devbox.spec
        axons = {}
        for name in axon_names(devbox):
            axon = _read(Axon, self._cache.get(AXONS, here, name))
            if axon is not None:
                axons[name] = axon
        blueprint = None
        if spec.blueprint_name:
            blueprint = _read(Blueprint, self._cache.get(BLUEPRINTS, here, spec.blueprint_name))
        return resolve(devbox, blueprint, axons)

    def _seen(self, devbox: Devbox, journal: JournalSeen) -> Seen:
        here, name = devbox.metadata.namespace, devbox.metadata.name
        pod = self._cache.get(PODS, here, pod_name(name))
        volume = self._cache.get(CLAIMS, here, volume_name(name))
        return Seen(
            pod=pod_seen(pod) if pod is not None else None,
            volume=volume_seen(volume) if volume is not None else None,
            journal=journal,
            memory=self._memories.get(devbox.metadata.uid, Memory()),
        )

    async def _ask_journal(
        self, key: Key, devbox: Devbox, resolution: Resolution
    ) -> tuple[Resolution, JournalSeen]:
        """Declare the devbox to the journal, which answers with its view of it."""
        binding, uid = resolution.binding, devbox.metadata.uid
        ended = devbox.status.shutdown_time is not None
        if binding is None or ended or devbox.metadata.deletion_timestamp is not None:
            return resolution, JournalUnknown()
        try:
            self._bound[key] = uid
            view = await self._journal.bind_devbox(uid, binding)
        except JournalUnreachable as error:
            return resolution, self._away(error)
        except JournalRefused as error:
            absent = error.status in _NO_SUCH_AXON
            reason = AcceptedReason.AXON_NOT_FOUND if absent else AcceptedReason.SPEC_INVALID
            return Resolution(None, None, Problem(reason, str(error))), JournalUnknown()
        self._away_since = None
        self._views[uid] = view
        return resolution, view

    def _away(self, error: JournalUnreachable) -> JournalUnknown:
        if self._away_since is None:
            self._away_since = self._clock.wall()
        return JournalUnknown(self._away_since, str(error))

    # --- apply

    async def _wake_at_once(self, devbox: Devbox, resolution: Resolution) -> bool:
        """The fast path of a wake: a call that is evidence by itself needs no question. Whether the
        pod was made; its notices are then owed."""
        if poked_generation(devbox) is None:
            return False
        plan = self._decide(devbox, resolution, JournalUnknown())
        if not plan.creates_pod:
            return False
        self._owed[devbox.metadata.uid] = list(plan.notices)
        is_made, _ = await self._act(devbox, plan, JournalUnknown())
        return is_made

    async def _settle(
        self, key: Key, resolution: Resolution, journal: JournalSeen, notices: list[Notice]
    ) -> float | None:
        """Decide and apply until a plan holds."""
        for _ in range(ROUNDS_MAX):
            body = self._cache.get(DEVBOXES, key.namespace, key.name)
            if body is None:
                return None
            devbox = Devbox.read(body)
            plan = self._decide(devbox, resolution, journal)
            notices += plan.notices
            settled, journal = await self._act(devbox, plan, journal)
            if not settled:
                continue
            if plan.status is not None:
                await self._write(devbox.metadata, dict(plan.status))
            if plan.look_again != 0:
                break
        else:
            raise Conflict(f"{key} did not settle in {ROUNDS_MAX} decisions")
        for notice in dict.fromkeys(notices):
            await self._notices.write(DEVBOXES.name, devbox.metadata, notice)
        return plan.look_again

    def _decide(self, devbox: Devbox, resolution: Resolution, journal: JournalSeen) -> Plan:
        now = self._clock.wall()
        plan = decide(devbox, resolution, self._seen(devbox, journal), self._settings, now)
        self._memories[devbox.metadata.uid] = plan.memory
        return plan

    async def _act(
        self, devbox: Devbox, plan: Plan, journal: JournalSeen
    ) -> tuple[bool, JournalSeen]:
        """The plan's actions; False as soon as one of them made the plan an old one."""
        uid = devbox.metadata.uid
        for action in plan.actions:
            self._guard()
            try:
                outcome = await self._hands.perform(devbox, action, journal, self._memories[uid])
            except JournalUnreachable as error:
                return False, self._away(error)
            self._memories[uid], journal = outcome.memory, outcome.journal
            if isinstance(journal, DevboxView):
                self._views[uid] = journal
            if not outcome.settled:
                return False, journal
        return True, journal

    async def _write(self, metadata: ObjectMeta, status: RawObject) -> None:
        namespace, name = metadata.namespace, metadata.name
        body = await self._cluster.patch_status(DEVBOXES, namespace, name, status)
        if body is None:
            self._cache.missing(DEVBOXES, namespace, name)
        else:
            self._cache.put(DEVBOXES, body)

    async def _report_unreadable(self, body: RawObject, error: ValidationError) -> None:
        """An older schema let something in that this version can not read."""
        metadata = ObjectMeta.model_validate(body["metadata"])
        status = unreadable(metadata, body.get("status") or {}, error, self._clock.wall())
        if status:
            await self._write(metadata, status)

    async def _forget_predecessor(self, key: Key, body: RawObject | None) -> None:
        """A devbox of this name that is gone leaves no binding behind; the sweep is the safety
        net."""
        uid = self._bound.get(key)
        if uid is None or (body is not None and body["metadata"]["uid"] == uid):
            return
        there = await self._cluster.get(DEVBOXES, key.namespace, key.name)
        if there is None or there["metadata"]["uid"] != uid:
            await self._journal.forget_devbox(uid)
        del self._bound[key]
        self._memories.pop(uid, None)
        self._views.pop(uid, None)
        self._owed.pop(uid, None)


def _read(model: type[R], body: RawObject | None) -> R | None:
    """A resource that another one refers to; one that can not be read counts as not there."""
    if body is None:
        return None
    try:
        return model.read(body)
    except ValidationError:
        return None
