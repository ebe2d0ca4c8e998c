"""Looks at one Axon or Blueprint: binds the first to the journal, says of both whether they serve.

An Axon resource is a handle: the journal makes the axon the first time and answers with its id,
which devboxes then resolve. A status is written when something differs, the head at most once a
sweep.
"""

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError
from ranvier.internal import AxonBinding
from ranvier.resources import Axon, AxonReason, Blueprint, BlueprintReason, Condition, ConditionType
from ranvier.resources.conditions import Documented

from ranvier_operator.cache import Cache
from ranvier_operator.clock import Clock
from ranvier_operator.cluster import Cluster
from ranvier_operator.conditions import condition
from ranvier_operator.errors import JournalRefused, JournalUnreachable
from ranvier_operator.journal import Journal
from ranvier_operator.kinds import AXONS, BLUEPRINTS, Key, Kind, RawObject
from ranvier_operator.lifecycle import JOURNAL_RETRY_SECONDS

REFUSED_RETRY_SECONDS = 60.0
"""What the journal refuses stays refused until a person acts."""


class Axons:
    """All Axon resources."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        cache: Cache,
        clock: Clock,
        guard: Callable[[], None],
    ) -> None:
        self._statuses = Statuses(AXONS, cluster, cache)
        self._cluster = cluster
        self._journal = journal
        self._cache = cache
        self._clock = clock
        self._guard = guard
        self._bound: dict[Key, str] = {}

    async def look(self, key: Key) -> float | None:
        """Bind it, and write down what the journal said."""
        self._guard()
        body = self._cache.get(AXONS, key.namespace, key.name)
        await self._forget_predecessor(key, body)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        try:
            axon = Axon.read(body)
        except ValidationError as error:
            problem = _verdict(body, AxonReason.SPEC_INVALID, _first(error), self._clock.wall())
            await self._statuses.write(body, problem)
            return None
        return await self._bind(key, body, axon)

    async def _bind(self, key: Key, body: RawObject, axon: Axon) -> float | None:
        uid, now = axon.metadata.uid, self._clock.wall()
        binding = AxonBinding(
            namespace=axon.metadata.namespace,
            name=axon.metadata.name,
            metadata=axon.spec.metadata,
            deletion_policy=axon.spec.deletion_policy,
        )
        try:
            self._bound[key] = uid
            view = await self._journal.bind_axon(uid, binding)
        except JournalUnreachable:
            if axon.status.axon_id is None:
                why = AxonReason.JOURNAL_UNREACHABLE
                await self._statuses.write(body, _verdict(body, why, "", now))
            return JOURNAL_RETRY_SECONDS
        except JournalRefused as error:
            verdict = _verdict(body, AxonReason.JOURNAL_REFUSED, str(error), now)
            await self._statuses.write(body, verdict)
            return REFUSED_RETRY_SECONDS
        status = _verdict(body, AxonReason.BOUND, "", now)
        await self._statuses.write(body, {**status, "axonId": view.axon_id, "head": view.head})
        return None

    async def _forget_predecessor(self, key: Key, body: RawObject | None) -> None:
        """An Axon of this name that is gone leaves no binding; the sweep is the safety net."""
        uid = self._bound.get(key)
        if uid is None or (body is not None and body["metadata"]["uid"] == uid):
            return
        there = await self._cluster.get(AXONS, key.namespace, key.name)
        if there is None or there["metadata"]["uid"] != uid:
            await self._journal.forget_axon(uid)
        del self._bound[key]


class Blueprints:
    """All Blueprints: nothing is made of them, but whether they can be read is worth a word."""

    def __init__(
        self, cluster: Cluster, cache: Cache, clock: Clock, guard: Callable[[], None]
    ) -> None:
        self._statuses = Statuses(BLUEPRINTS, cluster, cache)
        self._cache = cache
        self._clock = clock
        self._guard = guard

    async def look(self, key: Key) -> float | None:
        """Say whether devboxes may name it."""
        self._guard()
        body = self._cache.get(BLUEPRINTS, key.namespace, key.name)
        if body is None or body["metadata"].get("deletionTimestamp"):
            return None
        now = self._clock.wall()
        try:
            Blueprint.read(body)
        except ValidationError as error:
            status = _verdict(body, BlueprintReason.SPEC_INVALID, _first(error), now)
        else:
            status = _verdict(body, BlueprintReason.USABLE, "", now)
        await self._statuses.write(body, status)
        return None


class Statuses:
    """Writes what differs of the status of one kind."""

    def __init__(self, kind: Kind, cluster: Cluster, cache: Cache) -> None:
        self._kind = kind
        self._cluster = cluster
        self._cache = cache

    async def write(self, body: RawObject, status: dict[str, Any]) -> None:
        old = body.get("status") or {}
        patch = {name: value for name, value in status.items() if old.get(name) != value}
        if not patch:
            return
        metadata = body["metadata"]
        answer = await self._cluster.patch_status(
            self._kind, metadata["namespace"], metadata["name"], patch
        )
        if answer is None:
            self._cache.missing(self._kind, metadata["namespace"], metadata["name"])
        else:
            self._cache.put(self._kind, answer)


def _verdict(body: RawObject, reason: Documented, detail: str, now: float) -> dict[str, Any]:
    """A status that says one thing: Ready, or why not."""
    holds = reason in (AxonReason.BOUND, BlueprintReason.USABLE)
    text = reason.meaning.removeprefix("True: ")
    text = text[:1].upper() + text[1:]
    message = text if holds else f"{detail or text} {reason.action}"
    generation = int(body["metadata"].get("generation", 0))
    ready = condition(
        _conditions(body),
        ConditionType.READY,
        holds,
        reason.value,
        message,
        generation=generation,
        now=now,
    )
    return {"observedGeneration": generation, "conditions": [ready.manifest()]}


def _conditions(body: RawObject) -> tuple[Condition, ...]:
    try:
        written = (body.get("status") or {}).get("conditions") or ()
        return tuple(Condition.model_validate(item) for item in written)
    except ValidationError:
        return ()


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}."
