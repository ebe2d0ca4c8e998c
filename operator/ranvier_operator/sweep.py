"""Once in a while everything is listed: what a watch missed is repaired, what is gone is forgotten.

There are no finalizers, so a resource can be deleted while the operator is down; its binding in the
journal is found here. The journal is asked first and the cluster second: a binding is older than
the answer that holds it, so a resource that the later list lacks is really gone.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from ranvier.internal import AxonBindingView, DevboxView

from ranvier_operator.cache import Cache, key_of
from ranvier_operator.cluster import Cluster
from ranvier_operator.errors import JournalError
from ranvier_operator.journal import Journal
from ranvier_operator.kinds import AXONS, BLUEPRINTS, DEVBOXES, WATCHED, Key, Kind, RawObject
from ranvier_operator.settings import Settings

log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 60.0
"""How often everything is listed. A read for each kind and namespace, and no write."""

Bindings = tuple[list[AxonBindingView], list[DevboxView]]


class Sweep:
    """`run` does it once; `look_at` is told every resource that there is."""

    def __init__(
        self,
        cluster: Cluster,
        journal: Journal,
        cache: Cache,
        settings: Settings,
        guard: Callable[[], None],
        look_at: Callable[[Key], None],
    ) -> None:
        self._cluster = cluster
        self._journal = journal
        self._cache = cache
        self._namespaces = settings.namespaces
        self._guard = guard
        self._look_at = look_at

    async def run(self) -> None:
        """Raises ClusterError when the cluster can not be listed; nothing is forgotten then."""
        self._guard()
        bindings = await self._bindings()
        present = {kind.name: await self._list(kind) for kind in WATCHED}
        if bindings is not None:
            await self._forget(bindings, present)

    async def _bindings(self) -> Bindings | None:
        try:
            return list(await self._journal.axons()), list(await self._journal.devboxes())
        except JournalError as error:
            log.warning("bindings are swept later: %s", error)
            return None

    async def _list(self, kind: Kind) -> Mapping[str, RawObject]:
        """Everything of a kind by UID, now also in the cache and due for a look."""
        before = list(self._cache.of(kind))
        listed = await self._cluster.list(kind, self._namespaces)
        for key in self._cache.replace(kind, before, listed):
            if kind in (DEVBOXES, AXONS, BLUEPRINTS):
                self._look_at(key)
        if kind in (DEVBOXES, AXONS, BLUEPRINTS):
            for body in listed:
                self._look_at(key_of(kind, body))
        return {body["metadata"]["uid"]: body for body in listed}

    async def _forget(
        self, bindings: Bindings, present: Mapping[str, Mapping[str, RawObject]]
    ) -> None:
        axons, devboxes = bindings
        for axon in axons:
            gone = axon.resource_uid not in present[AXONS.name]
            if gone and await self._is_gone(AXONS, axon.namespace, axon.name, axon.resource_uid):
                log.info("Axon %s/%s is gone; its binding too", axon.namespace, axon.name)
                self._guard()
                await self._journal.forget_axon(axon.resource_uid)
        for box in devboxes:
            body = present[DEVBOXES.name].get(box.uid)
            ended = body is not None and bool((body.get("status") or {}).get("shutdownTime"))
            gone = body is None and await self._is_gone(DEVBOXES, box.namespace, box.name, box.uid)
            if ended or gone:
                log.info("Devbox %s/%s is gone; its binding too", box.namespace, box.name)
                self._guard()
                await self._journal.forget_devbox(box.uid)

    async def _is_gone(self, kind: Kind, namespace: str, name: str, uid: str) -> bool:
        """Asked once more, one by one: what follows can not be undone. Namespaces that this
        operator does not serve are somebody else's."""
        if self._namespaces and namespace not in self._namespaces:
            return False
        there = await self._cluster.get(kind, namespace, name)
        return there is None or there["metadata"]["uid"] != uid
