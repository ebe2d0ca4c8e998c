"""The kinds of Kubernetes objects that the operator reads or writes, and how to address them."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple, TypeAlias

from ranvier.resources import AXON, BLUEPRINT, DEVBOX, GROUP, VERSION
from ranvier.resources import Kind as Resource
from ranvier.resources.kinds import api_path

from ranvier_operator.naming import LABEL_DEVBOX

RawObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON; it becomes a dataclass at the first door it passes."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind: what it is called and which part of it is ours to see."""

    name: str
    group: str
    version: str
    plural: str
    selector: str = ""
    """Label selector of lists and watches: other people's objects stay out of memory."""

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str | None = None) -> str:
        """Path in the API server; every namespace's where `namespace` is None."""
        return api_path(self.group, self.version, self.plural, namespace, name)


def _ours(kind: Resource) -> Kind:
    return Kind(kind.name, GROUP, VERSION, kind.plural)


DEVBOXES: Final = _ours(DEVBOX)
AXONS: Final = _ours(AXON)
BLUEPRINTS: Final = _ours(BLUEPRINT)
PODS: Final = Kind("Pod", "", "v1", "pods", LABEL_DEVBOX)
CLAIMS: Final = Kind("PersistentVolumeClaim", "", "v1", "persistentvolumeclaims", LABEL_DEVBOX)
EVENTS: Final = Kind("Event", "", "v1", "events")
LEASES: Final = Kind("Lease", "coordination.k8s.io", "v1", "leases")

WATCHED: Final = (DEVBOXES, AXONS, BLUEPRINTS, PODS, CLAIMS)
"""Kinds that are watched and held in memory."""


class Key(NamedTuple):
    """One resource to look at."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}"
