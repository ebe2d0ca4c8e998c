"""The last seen state of everything that is watched, so that a wake needs no reading.

Fed from three sides: the watches, the answers to our own writes, and a list of everything once in a
while, which repairs what a watch missed. An older version never replaces a newer one, and what was
seen deleted does not come back by a late answer.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Final

from ranvier_operator.kinds import Key, Kind, RawObject

GONE_MAX: Final = 10_000
"""Deleted objects that are remembered; a late answer about one comes within seconds."""
_BULK: Final = frozenset({"managedFields"})
"""Parts of metadata that nobody here reads and that are often the larger half of an object."""


class Cache:
    """Objects by kind, namespace and name."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[tuple[str, str], RawObject]] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        return self._objects.get(kind.name, {}).get((namespace, name))

    def of(self, kind: Kind, namespace: str | None = None) -> Iterator[RawObject]:
        """All objects of a kind, of one namespace or of every one."""
        for (place, _), body in self._objects.get(kind.name, {}).items():
            if namespace is None or place == namespace:
                yield body

    def put(self, kind: Kind, body: RawObject) -> bool:
        """Remember an object; False where something as new or newer is known already."""
        metadata = {name: value for name, value in body["metadata"].items() if name not in _BULK}
        body = {**body, "metadata": metadata}
        if metadata["uid"] in self._gone:
            return False
        place = (metadata["namespace"], metadata["name"])
        objects = self._objects.setdefault(kind.name, {})
        known = objects.get(place)
        if known is not None and not _is_newer(body, known):
            return False
        objects[place] = body
        return True

    def drop(self, kind: Kind, body: RawObject) -> None:
        """This very object is gone; another one of its name stays."""
        metadata = body["metadata"]
        self._gone[metadata["uid"]] = None
        while len(self._gone) > GONE_MAX:
            self._gone.popitem(last=False)
        self._remove(kind, metadata["namespace"], metadata["name"], metadata["uid"])

    def missing(self, kind: Kind, namespace: str, name: str) -> None:
        """The API server says that there is no such object."""
        self._objects.get(kind.name, {}).pop((namespace, name), None)

    def replace(
        self, kind: Kind, before: Iterable[RawObject], listed: Iterable[RawObject]
    ) -> list[Key]:
        """Take over a list of everything. `before` is what was known when the list was asked for:
        only of that something can be missed. Returns what turned out to be gone."""
        present = {body["metadata"]["uid"] for body in listed}
        lost = [body for body in before if body["metadata"]["uid"] not in present]
        for body in lost:
            self.drop(kind, body)
        for body in listed:
            self.put(kind, body)
        return [key_of(kind, body) for body in lost]

    def _remove(self, kind: Kind, namespace: str, name: str, uid: str) -> None:
        objects = self._objects.get(kind.name, {})
        known = objects.get((namespace, name))
        if known is not None and known["metadata"]["uid"] == uid:
            del objects[(namespace, name)]


def key_of(kind: Kind, body: RawObject) -> Key:
    return Key(kind.name, body["metadata"]["namespace"], body["metadata"]["name"])


def _is_newer(body: RawObject, known: RawObject) -> bool:
    """Versions of the same object are numbers that rise; a different UID is a newer object."""
    new, old = body["metadata"], known["metadata"]
    if new["uid"] != old["uid"]:
        return True
    try:
        return int(new["resourceVersion"]) > int(old["resourceVersion"])
    except (KeyError, ValueError):
        return True
