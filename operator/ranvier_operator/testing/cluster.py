"""A cluster in memory behind the operator's `Cluster` Protocol.

It keeps what the operator relies on: names are taken once, UIDs are never used again, versions
rise, deletions name a UID, bound pods take their time to end, children go with their owner. It runs
no pods: a test says what a scheduler or a kubelet would (`report`, `erase`). Everybody in
`watchers` hears of each change at once.
"""

import copy
import itertools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from ranvier.merge_patch import patched

from ranvier_operator.clock import Clock
from ranvier_operator.errors import AlreadyExists, ClusterError, Conflict
from ranvier_operator.kinds import (
    AXONS,
    BLUEPRINTS,
    CLAIMS,
    DEVBOXES,
    LEASES,
    PODS,
    WATCHED,
    Kind,
    RawObject,
)
from ranvier_operator.testing.clock import ManualClock

Watcher = Callable[[Kind, str, RawObject], None]
_HAVE_STATUS = frozenset({kind.name for kind in (DEVBOXES, AXONS, BLUEPRINTS)})


class FakeCluster:
    """The fake. `writes` counts what reached it, by verb and kind."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = clock or ManualClock()
        self._objects: dict[tuple[str, str, str], RawObject] = {}
        self._numbers = itertools.count(1)
        self.watchers: list[Watcher] = []
        self.writes: list[tuple[str, str]] = []
        self.guard: Callable[[], None] = lambda: None
        self.fail_next: ClusterError | None = None

    # --- the Protocol

    async def list(self, kind: Kind, namespaces: Sequence[str] = ()) -> Sequence[RawObject]:
        self._fail()
        return [
            copy.deepcopy(body)
            for (name, namespace, _), body in self._objects.items()
            if name == kind.name
            and (not namespaces or namespace in namespaces)
            and (not kind.selector or kind.selector in (body["metadata"].get("labels") or {}))
        ]

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        self._fail()
        return copy.deepcopy(self._objects.get((kind.name, namespace, name)))

    async def create(self, kind: Kind, body: RawObject) -> RawObject:
        self._write("create", kind)
        return self._add(kind, body)

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, grace_seconds: int | None = None
    ) -> RawObject | None:
        self._write("delete", kind)
        body = self._objects.get((kind.name, namespace, name))
        if body is None or body["metadata"]["uid"] != uid:
            return None
        lingers = kind == PODS and body["spec"].get("nodeName") and grace_seconds != 0
        if not lingers:
            self._remove(kind, namespace, name)
            return None
        if "deletionTimestamp" not in body["metadata"]:
            grace = body["spec"].get("terminationGracePeriodSeconds", 30)
            body = copy.deepcopy(body)
            body["metadata"]["deletionTimestamp"] = self.time_text(grace)
            body["metadata"]["deletionGracePeriodSeconds"] = grace
            return self._store((kind.name, namespace, name), kind, body, "MODIFIED")
        return copy.deepcopy(body)

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        return self._patch(kind, namespace, name, patch)

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        return self._patch(kind, namespace, name, {"status": patch})

    async def get_lease(self, namespace: str, name: str) -> RawObject | None:
        return await self.get(LEASES, namespace, name)

    async def create_lease(self, body: RawObject) -> RawObject:
        self._fail()
        return self._add(LEASES, body)

    async def replace_lease(self, body: RawObject) -> RawObject:
        self._fail()
        metadata = body["metadata"]
        place = (LEASES.name, metadata["namespace"], metadata["name"])
        known = self._objects.get(place)
        if known is None:
            raise ClusterError("the lease is gone", status=404)
        if known["metadata"]["resourceVersion"] != metadata.get("resourceVersion"):
            raise Conflict("the lease was changed", status=409)
        return self._store(place, LEASES, copy.deepcopy(body), "MODIFIED")

    # --- what users, schedulers and kubelets do

    def apply(self, kind: Kind, namespace: str, name: str, spec: RawObject) -> RawObject:
        """A user makes a resource or changes its spec."""
        place = (kind.name, namespace, name)
        known = self._objects.get(place)
        if known is None:
            made: RawObject = {
                "apiVersion": kind.api_version,
                "kind": kind.name,
                "metadata": {"namespace": namespace, "name": name},
                "spec": copy.deepcopy(spec),
            }
            return self._add(kind, made)
        body = copy.deepcopy(known)
        body["spec"] = copy.deepcopy(spec)
        body["metadata"]["generation"] += 1
        return self._store(place, kind, body, "MODIFIED")

    def erase(self, kind: Kind, namespace: str, name: str) -> None:
        """A user deletes something, or a kubelet is done with it; its children go with it."""
        self._remove(kind, namespace, name)

    def report(self, kind: Kind, namespace: str, name: str, patch: RawObject) -> None:
        """A scheduler, kubelet or waker reports: merge-patches an object's status or spec."""
        self._merge(kind, namespace, name, patch)

    def peek(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        """What is there, without asking the API server."""
        return copy.deepcopy(self._objects.get((kind.name, namespace, name)))

    def time_text(self, plus: float = 0) -> str:
        """The cluster's time, in some seconds from now."""
        moment = datetime.fromtimestamp(int(self._clock.wall() + plus), UTC)
        return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

    # --- inside

    def _add(self, kind: Kind, body: RawObject) -> RawObject:
        metadata = body["metadata"]
        place = (kind.name, metadata["namespace"], metadata["name"])
        if place in self._objects:
            raise AlreadyExists(f"{kind.name} {metadata['name']} exists", status=409)
        stored = copy.deepcopy(body)
        stored.setdefault("apiVersion", kind.api_version)
        stored.setdefault("kind", kind.name)
        if kind.name in _HAVE_STATUS:
            stored.pop("status", None)
        stored["metadata"] |= {
            "uid": f"uid-{next(self._numbers)}",
            "creationTimestamp": self.time_text(),
            "generation": 1,
        }
        if kind in (PODS, CLAIMS):
            stored["status"] = {"phase": "Pending"}
        return self._store(place, kind, stored, "ADDED")

    def _patch(self, kind: Kind, namespace: str, name: str, patch: RawObject) -> RawObject | None:
        self._write("patch", kind)
        return self._merge(kind, namespace, name, patch)

    def _merge(self, kind: Kind, namespace: str, name: str, patch: RawObject) -> RawObject | None:
        place = (kind.name, namespace, name)
        known = self._objects.get(place)
        if known is None:
            return None
        patch = copy.deepcopy(patch)
        uid = patch.get("metadata", {}).pop("uid", None)
        if uid is not None and uid != known["metadata"]["uid"]:
            raise Conflict("the UID is another one", status=409)
        body = patched(copy.deepcopy(known), patch)
        if body == known:
            return copy.deepcopy(known)
        return self._store(place, kind, body, "MODIFIED")

    def _store(
        self, place: tuple[str, str, str], kind: Kind, body: RawObject, event_type: str
    ) -> RawObject:
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._objects[place] = body
        self._tell(kind, event_type, body)
        return copy.deepcopy(body)

    def _remove(self, kind: Kind, namespace: str, name: str) -> None:
        body = self._objects.pop((kind.name, namespace, name), None)
        if body is None:
            return
        body["metadata"]["resourceVersion"] = str(next(self._numbers))
        self._tell(kind, "DELETED", body)
        uid = body["metadata"]["uid"]
        for kind_name, place, child in list(self._objects):
            owners = self._objects[kind_name, place, child]["metadata"].get("ownerReferences")
            if any(owner["uid"] == uid for owner in owners or ()):
                child_kind = next(kind for kind in WATCHED if kind.name == kind_name)
                self._remove(child_kind, place, child)

    def _tell(self, kind: Kind, event_type: str, body: RawObject) -> None:
        labels = body["metadata"].get("labels") or {}
        if kind not in WATCHED or (kind.selector and kind.selector not in labels):
            return
        for watcher in list(self.watchers):
            watcher(kind, event_type, copy.deepcopy(body))

    def _write(self, verb: str, kind: Kind) -> None:
        self.guard()
        self._fail()
        self.writes.append((verb, kind.name))

    def _fail(self) -> None:
        error, self.fail_next = self.fail_next, None
        if error is not None:
            raise error
