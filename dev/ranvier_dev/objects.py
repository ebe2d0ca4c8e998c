"""The objects of a very small Kubernetes: versions, watches, deletion, owners. Pure.

It keeps what operator and API server rely on: a name is taken once, a UID never again, versions
rise with every change, a pod that runs takes its time to end, children go with their owner, and a
reader that begins at a version misses nothing or is told so.
"""

import copy
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ranvier.merge_patch import patched

from ranvier_dev.kinds import CLAIMS, PODS, SERVED, RawObject, Served, admitted

HISTORY_MAX: Final = 10_000
"""Changes that a watch can still begin at; an older one lists anew, as with Kubernetes."""

GRACE_SECONDS: Final = 30
"""For a pod that does not say how long its end may take."""

Place = tuple[Served, str, str]


class Taken(Exception):
    """There is one of this name already."""


class Conflict(Exception):
    """It is not the object, or not the version, that was meant."""


class TooOld(Exception):
    """The version to begin at is forgotten."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change. `type` is Kubernetes' word: ADDED, MODIFIED or DELETED."""

    version: int
    type: str
    served: Served
    body: RawObject


class Objects:
    """`listener` hears of every change. `now` gives the time in so many seconds as text."""

    def __init__(
        self,
        new_uid: Callable[[], str],
        now: Callable[[float], str],
        listener: Callable[[Change], None],
    ) -> None:
        self._new_uid = new_uid
        self._now = now
        self._listener = listener
        self._objects: dict[Place, RawObject] = {}
        self._history: deque[Change] = deque(maxlen=HISTORY_MAX)
        self.version = 0

    def restore(self, objects: Iterable[tuple[Served, RawObject]]) -> None:
        """What was kept by an earlier process; nobody is told."""
        for served, body in objects:
            metadata = body["metadata"]
            self._objects[served, metadata["namespace"], metadata["name"]] = body
            self.version = max(self.version, int(metadata["resourceVersion"]))

    # --- reading

    def get(self, served: Served, namespace: str, name: str) -> RawObject | None:
        found = self._objects.get((served, namespace, name))
        return copy.deepcopy(found) if found is not None else None

    def select(
        self, served: Served, namespace: str | None = None, label: str = ""
    ) -> list[RawObject]:
        """Of one namespace or of all; `label` is a selector."""
        return [
            copy.deepcopy(body)
            for (kind, place, _), body in self._objects.items()
            if kind == served and namespace in (None, place) and matches(body, label)
        ]

    def since(
        self, version: int, served: Served, namespace: str | None = None, label: str = ""
    ) -> list[Change]:
        """Every change after this version, up to now. Raises TooOld."""
        if self._history and version < self._history[0].version - 1:
            raise TooOld(f"version {version} is forgotten")
        # From the newest back, so that a reader who is up to date costs nothing.
        newer = itertools.takewhile(lambda c: c.version > version, reversed(self._history))
        return [
            change
            for change in reversed(list(newer))
            if change.served == served
            and namespace in (None, change.body["metadata"]["namespace"])
            and matches(change.body, label)
        ]

    # --- writing

    def create(self, served: Served, namespace: str, body: RawObject) -> RawObject:
        """Raises Taken or Invalid."""
        made = copy.deepcopy(admitted(served, body))
        metadata = made.setdefault("metadata", {})
        name = metadata.get("name") or metadata.get("generateName", "") + self._new_uid()[:5]
        if (served, namespace, name) in self._objects:
            raise Taken(f'{served.plural} "{name}" already exists')
        made |= {"apiVersion": served.api_version, "kind": served.kind}
        if served.has_status:
            made.pop("status", None)
        if served in (PODS, CLAIMS):
            made["status"] = {"phase": "Pending" if served == PODS else "Bound"}
        metadata |= {
            "name": name,
            "namespace": namespace,
            "uid": self._new_uid(),
            "creationTimestamp": self._now(0),
            "generation": 1,
        }
        stored = self._store("ADDED", served, made)
        if served.kept_max is not None:
            self._trim(served, served.kept_max)
        return stored

    def replace(
        self, served: Served, namespace: str, name: str, body: RawObject
    ) -> RawObject | None:
        """All but status and identity. Raises Conflict when it names a version that is not the
        last one."""
        known = self._objects.get((served, namespace, name))
        if known is None:
            return None
        version = body.get("metadata", {}).get("resourceVersion")
        if version and version != known["metadata"]["resourceVersion"]:
            raise Conflict(f'{served.plural} "{name}" was changed meanwhile')
        kept = {"status": known["status"]} if "status" in known and served.has_status else {}
        return self._change(served, known, {**copy.deepcopy(body), **kept})

    def patch(
        self, served: Served, namespace: str, name: str, patch: RawObject, *, status: bool = False
    ) -> RawObject | None:
        """A JSON merge patch of everything but the status, or of the status alone."""
        known = self._objects.get((served, namespace, name))
        if known is None:
            return None
        uid = patch.get("metadata", {}).get("uid")
        if uid is not None and uid != known["metadata"]["uid"]:
            raise Conflict(f'{served.plural} "{name}" has another uid')
        if status:
            patch = {"status": patch.get("status")}
        elif served.has_status:
            patch = {key: value for key, value in patch.items() if key != "status"}
        return self._change(served, known, patched(known, patch))

    def delete(
        self, served: Served, namespace: str, name: str, *, uid: str = "", grace: int | None = None
    ) -> RawObject | None:
        """Its last form; None when it is not there. A pod that runs ends first, unless `grace` is
        0. Raises Conflict when it is another object."""
        body = self._objects.get((served, namespace, name))
        if body is None:
            return None
        if uid and uid != body["metadata"]["uid"]:
            raise Conflict(f'{served.plural} "{name}" has another uid')
        return self._end((served, namespace, name), forced=grace == 0)

    # --- inside

    def _change(self, served: Served, known: RawObject, wanted: RawObject) -> RawObject:
        body = admitted(served, wanted)
        same = ("uid", "name", "namespace", "creationTimestamp", "generation", "resourceVersion")
        body["metadata"] = {
            **{k: v for k, v in body.get("metadata", {}).items() if k not in same},
            **{k: known["metadata"][k] for k in same if k in known["metadata"]},
        }
        body |= {"apiVersion": served.api_version, "kind": served.kind}
        if body == known:
            return copy.deepcopy(known)
        body = copy.deepcopy(body)
        if body.get("spec") != known.get("spec"):
            body["metadata"]["generation"] += 1
        return self._store("MODIFIED", served, body)

    def _store(self, change_type: str, served: Served, body: RawObject) -> RawObject:
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self._objects[served, body["metadata"]["namespace"], body["metadata"]["name"]] = body
        self._tell(change_type, served, body)
        return copy.deepcopy(body)

    def _remove(self, place: Place) -> RawObject:
        served, namespace, _ = place
        body = self._objects.pop(place)
        self.version += 1
        body["metadata"]["resourceVersion"] = str(self.version)
        self._tell("DELETED", served, body)
        for child in list(self._objects):
            owners = self._objects.get(child, {}).get("metadata", {}).get("ownerReferences") or ()
            if child[1] == namespace and any(o["uid"] == body["metadata"]["uid"] for o in owners):
                self._end(child)
        return body

    def _end(self, place: Place, *, forced: bool = False) -> RawObject:
        """A pod that runs is told to end; all else goes at once."""
        body = self._objects[place]
        if forced or place[0] != PODS or not body["spec"].get("nodeName"):
            return self._remove(place)
        if "deletionTimestamp" in body["metadata"]:
            return copy.deepcopy(body)
        seconds = body["spec"].get("terminationGracePeriodSeconds", GRACE_SECONDS)
        ending = copy.deepcopy(body)
        ending["metadata"]["deletionTimestamp"] = self._now(seconds)
        ending["metadata"]["deletionGracePeriodSeconds"] = seconds
        return self._store("MODIFIED", PODS, ending)

    def _trim(self, served: Served, kept_max: int) -> None:
        places = [place for place in self._objects if place[0] == served]
        for place in places[: max(0, len(places) - kept_max)]:
            self._remove(place)

    def _tell(self, change_type: str, served: Served, body: RawObject) -> None:
        change = Change(self.version, change_type, served, copy.deepcopy(body))
        self._history.append(change)
        self._listener(change)


def matches(body: RawObject, selector: str) -> bool:
    """Label selectors as they are used here: `key`, `key=value`, joined by commas."""
    labels = body["metadata"].get("labels") or {}
    for part in filter(None, selector.split(",")):
        key, has_value, value = part.replace("==", "=").partition("=")
        if key not in labels or (has_value and labels[key] != value):
            return False
    return True


def served_at(group: str, version: str, plural: str) -> Served | None:
    """The kind at this place of the API, if it is served."""
    place = (group, version, plural)
    return next((s for s in SERVED if (s.group, s.version, s.plural) == place), None)
