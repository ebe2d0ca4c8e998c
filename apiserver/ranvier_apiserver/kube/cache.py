"""All objects of one kind as last heard: listed once, then watched.

Reading costs the Kubernetes API nothing, however often an SDK polls. Our own writes are put in as
they are answered, so a caller sees at once what it did. An older version never replaces a newer
one, and what was seen deleted does not come back by a late answer.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

from ranvier_apiserver.errors import ClusterUnavailable
from ranvier_apiserver.kube.objects import ObjectKind, Objects, RawObject, WatchEnded

RETRY_SECONDS: Final = 1.0
STALE_SECONDS: Final = 10.0
"""What was last heard is answered from for so long after the cluster went away, then refused."""
GONE_MAX: Final = 10_000
"""Deleted objects that are remembered; a late answer about one comes within seconds."""

log = logging.getLogger(__name__)


class Cache:
    """Objects of one kind, of some namespaces or of every one (`namespaces` empty)."""

    def __init__(self, objects: Objects, kind: ObjectKind, namespaces: Sequence[str]) -> None:
        self._objects = objects
        self._kind = kind
        self._places: tuple[str | None, ...] = tuple(namespaces) or (None,)
        self._known: dict[str, RawObject] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()
        self._signals: dict[str, asyncio.Event] = {}
        self._failed_at: dict[str | None, float] = {}
        self._unlisted = set(self._places)

    async def run(self) -> None:
        """Follow the cluster until cancelled."""
        async with asyncio.TaskGroup() as group:
            for place in self._places:
                group.create_task(self._follow(place))

    def all(self) -> list[RawObject]:
        """Newest first, in an order that never changes."""
        self._require_fresh()
        return sorted(self._known.values(), key=_age, reverse=True)

    def get(self, uid: str) -> RawObject | None:
        self._require_fresh()
        return self._known.get(uid)

    def put(self, body: RawObject) -> None:
        """Remember an object, as a watch or the answer to a write tells of it."""
        uid = body["metadata"]["uid"]
        known = self._known.get(uid)
        if uid in self._gone or (known is not None and _version(body) <= _version(known)):
            return
        self._known[uid] = body
        self._tell(uid)

    def drop(self, uid: str) -> None:
        """It is gone."""
        self._gone[uid] = None
        while len(self._gone) > GONE_MAX:
            self._gone.popitem(last=False)
        if self._known.pop(uid, None) is not None:
            self._tell(uid)

    async def changed(self, uid: str, seconds: float) -> None:
        """Return when this object changes, or the time is over."""
        signal = self._signals.setdefault(uid, asyncio.Event())
        try:
            async with asyncio.timeout(seconds):
                await signal.wait()
        except TimeoutError:
            if uid not in self._known:
                self._signals.pop(uid, None)  # made-up ids leave nothing behind

    # --- inside

    async def _follow(self, place: str | None) -> None:
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list(place)
                version = await self._objects.watch(self._kind, place, version, self._heard)
                self._failed_at.pop(place, None)
            except WatchEnded:
                version = ""
            except ClusterUnavailable as error:
                version = ""
                self._failed_at.setdefault(place, asyncio.get_running_loop().time())
                log.warning("%s are not followed now, tried again: %s", self._kind.plural, error)
                await asyncio.sleep(RETRY_SECONDS)

    async def _list(self, place: str | None) -> str:
        before = {uid for uid, body in self._known.items() if place in (None, _place(body))}
        listing = await self._objects.list(self._kind, place)
        for uid in before - {body["metadata"]["uid"] for body in listing.items}:
            self.drop(uid)
        for body in listing.items:
            self.put(body)
        self._unlisted.discard(place)
        self._failed_at.pop(place, None)
        return listing.version

    def _heard(self, event_type: str, body: RawObject) -> None:
        if event_type == "DELETED":
            self.drop(body["metadata"]["uid"])
        else:
            self.put(body)

    def _tell(self, uid: str) -> None:
        if (signal := self._signals.pop(uid, None)) is not None:
            signal.set()

    def _require_fresh(self) -> None:
        now = asyncio.get_running_loop().time()
        is_stale = any(now - failed > STALE_SECONDS for failed in self._failed_at.values())
        if self._unlisted or is_stale:
            raise ClusterUnavailable(
                f"The Kubernetes API does not answer, so {self._kind.plural} are not known now. "
                "Try again; if it stays, see the API server's log."
            )


def _age(body: RawObject) -> tuple[str, str]:
    metadata = body["metadata"]
    return metadata.get("creationTimestamp") or "", metadata["uid"]


def _place(body: RawObject) -> str:
    return str(body["metadata"]["namespace"])


def _version(body: RawObject) -> int:
    """Versions of one kind's objects are numbers that rise."""
    version = str(body["metadata"].get("resourceVersion", ""))
    return int(version) if version.isdecimal() else 0
