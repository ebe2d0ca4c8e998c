"""Carries out one action of a plan on the cluster or the journal, and says what came of it.

What the API server answers goes into the cache at once, so the next decision sees it before any
watch tells. Where the cluster is not as the plan supposed (a name is taken, an object gone), what
is there is read and the decision is made again.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from ranvier.internal import DevboxFailure, DevboxView
from ranvier.resources import Devbox, Failure

from ranvier_operator import idleness, troubles
from ranvier_operator.awake import failed
from ranvier_operator.cache import Cache
from ranvier_operator.clock import Clock
from ranvier_operator.cluster import Cluster
from ranvier_operator.errors import AlreadyExists, Conflict, Refused
from ranvier_operator.journal import Journal
from ranvier_operator.kinds import CLAIMS, PODS, Kind
from ranvier_operator.observed import JournalSeen, Memory
from ranvier_operator.plans import (
    Action,
    AskSleep,
    ChangeVolume,
    CreatePod,
    CreateVolume,
    DeletePod,
    DeleteVolume,
    Forget,
    TellFailure,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Outcome:
    """After an action. `settled`: the plan goes on; otherwise the world is another one, decide
    again."""

    settled: bool
    journal: JournalSeen
    memory: Memory


class Hands:
    """The one place where a plan meets the world."""

    def __init__(self, cluster: Cluster, journal: Journal, cache: Cache, clock: Clock) -> None:
        self._cluster = cluster
        self._journal = journal
        self._cache = cache
        self._clock = clock
        self._unchangeable: dict[str, Mapping[str, Any]] = {}

    async def perform(
        self, devbox: Devbox, action: Action, journal: JournalSeen, memory: Memory
    ) -> Outcome:
        """One action. Raises ClusterError or JournalError; then nothing is known to be done."""
        log.debug("%s: %s", _place(devbox), type(action).__name__)
        here = devbox.metadata.namespace
        settled = True
        match action:
            case CreateVolume(body):
                return await self._create(CLAIMS, body, journal, memory)
            case CreatePod(body):
                return await self._create(PODS, body, journal, memory)
            case ChangeVolume(name, patch):
                settled = await self._change(here, name, patch)
            case DeleteVolume(name, uid):
                settled = await self._delete(CLAIMS, here, name, uid)
            case DeletePod(name, uid, forced):
                settled = await self._delete(PODS, here, name, uid, forced)
            case AskSleep():
                return await self._ask(devbox, action, journal, memory)
            case Forget():
                await self._journal.forget_devbox(devbox.metadata.uid)
            case TellFailure(failure):
                await self._journal.tell_failure(devbox.metadata.uid, _told(failure))
                memory = replace(memory, told=failure)
            case _:
                assert_never(action)
        return Outcome(settled, journal, memory)

    async def look(self, kind: Kind, namespace: str, name: str) -> None:
        """Read what is really there into the cache."""
        body = await self._cluster.get(kind, namespace, name)
        if body is None:
            self._cache.missing(kind, namespace, name)
        else:
            self._cache.put(kind, body)

    async def _create(
        self, kind: Kind, body: Mapping[str, Any], journal: JournalSeen, memory: Memory
    ) -> Outcome:
        try:
            self._cache.put(kind, await self._cluster.create(kind, dict(body)))
        except AlreadyExists:
            metadata = body["metadata"]
            await self.look(kind, metadata["namespace"], metadata["name"])
            return Outcome(False, journal, memory)
        except Refused as error:
            trouble = troubles.of_refusal(str(error))
            return Outcome(False, journal, failed(memory, trouble, self._clock.wall()))
        return Outcome(True, journal, memory)

    async def _change(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        """Refused once is refused for good: a storage class that can not grow never will."""
        uid = patch["metadata"]["uid"]
        if self._unchangeable.get(uid) == patch:
            return True
        try:
            body = await self._cluster.patch(CLAIMS, namespace, name, dict(patch))
        except Conflict:
            await self.look(CLAIMS, namespace, name)
            return False
        except Refused as error:
            log.warning("claim %s/%s stays as it is: %s", namespace, name, error)
            self._unchangeable[uid] = patch
            return True
        if body is None:
            self._cache.missing(CLAIMS, namespace, name)
            return False
        self._cache.put(CLAIMS, body)
        return True

    async def _delete(
        self, kind: Kind, namespace: str, name: str, uid: str, forced: bool = False
    ) -> bool:
        body = await self._cluster.delete(
            kind, namespace, name, uid=uid, grace_seconds=0 if forced else None
        )
        if body is None:
            await self.look(kind, namespace, name)
            return False
        self._cache.put(kind, body)
        return True

    async def _ask(
        self, devbox: Devbox, action: AskSleep, journal: JournalSeen, memory: Memory
    ) -> Outcome:
        answer = await self._journal.sleep(devbox.metadata.uid, action.request)
        if not answer.granted:
            now = self._clock.wall()
            memory = idleness.refused(memory, answer, action.request.idle_seconds, now)
            log.debug("%s stays awake: %s", _place(devbox), answer.message)
            return Outcome(False, journal, memory)
        log.info("%s may sleep: %s", _place(devbox), answer.message)
        memory = idleness.granted(memory, answer, action.reason)
        if isinstance(journal, DevboxView):
            journal = idleness.asleep(journal, answer)
        return Outcome(False, journal, memory)


def _told(failure: Failure) -> DevboxFailure:
    time_ms = round(failure.time.timestamp() * 1000)
    return DevboxFailure(reason=failure.reason, message=failure.message, time_ms=time_ms)


def _place(devbox: Devbox) -> str:
    return f"Devbox {devbox.metadata.namespace}/{devbox.metadata.name}"
