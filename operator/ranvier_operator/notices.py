"""Kubernetes Events about devboxes: one for a transition, repeated ones counted instead of added.

Events are for people who look. They are written after everything else, a failure to write one
stops nothing, and the journal knows them no more than the decision does.
"""

import hashlib
import logging
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import Any, Final

from ranvier.resources import API_VERSION, ObjectMeta

from ranvier_operator.clock import Clock
from ranvier_operator.cluster import Cluster
from ranvier_operator.errors import ClusterError
from ranvier_operator.kinds import EVENTS
from ranvier_operator.naming import FIELD_MANAGER, NAME_CHARS_MAX, shortened
from ranvier_operator.plans import Notice

log = logging.getLogger(__name__)

REMEMBERED_MAX: Final = 4096
"""Events whose count is remembered; an older one begins anew, as Kubernetes' own do."""
WINDOW_SECONDS: Final = 1800
"""Kubernetes drops Events after an hour, so what goes on longer begins a new one."""


class Notices:
    """Writes Events, and counts those that say the same again."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster = cluster
        self._clock = clock
        self._instance = uuid.uuid4().hex
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def write(self, kind: str, about: ObjectMeta, notice: Notice) -> None:
        """One Event about a resource of ours; a failure is logged and forgotten."""
        now = self._clock.wall()
        name = self._name(about, notice, now)
        count = self._counts.get(name, 0)
        try:
            if count:
                patch = {"count": count + 1, "lastTimestamp": _time(now)}
                await self._cluster.patch(EVENTS, about.namespace, name, patch)
            else:
                await self._cluster.create(EVENTS, _event(kind, about, notice, name, now))
        except ClusterError as error:
            log.info("Event %s about %s: %s", notice.reason, about.name, error)
            return
        self._counts[name] = count + 1
        self._counts.move_to_end(name)
        while len(self._counts) > REMEMBERED_MAX:
            self._counts.popitem(last=False)

    def _name(self, about: ObjectMeta, notice: Notice, now: float) -> str:
        """The same for what says the same, from this process and about now."""
        window = str(int(now) // WINDOW_SECONDS)
        said = (self._instance, window, about.uid, notice.type, notice.reason, notice.message)
        digest = hashlib.sha256("/".join(said).encode()).hexdigest()[:16]
        return f"{shortened(about.name, NAME_CHARS_MAX - len(digest) - 1)}.{digest}"


def _event(kind: str, about: ObjectMeta, notice: Notice, name: str, now: float) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": kind,
            "name": about.name,
            "namespace": about.namespace,
            "uid": about.uid,
        },
        "type": notice.type,
        "reason": notice.reason,
        "message": notice.message[:1024],
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": "",
        "firstTimestamp": _time(now),
        "lastTimestamp": _time(now),
        "count": 1,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
