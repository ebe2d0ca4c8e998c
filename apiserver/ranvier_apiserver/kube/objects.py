"""The seam: what the REST API does to Kubernetes objects. They are JSON; "not there" is an answer.

`adapter.KubernetesObjects` is the real one. Errors: `ClusterUnavailable` (try again),
`ClusterRefused` (for good), `NameTaken`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from ranvier.resources import BLUEPRINT, DEVBOX, GROUP, VERSION
from ranvier.resources.kinds import api_path

RawObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON."""


@dataclass(frozen=True, slots=True)
class ObjectKind:
    """How objects of a kind are addressed; `selector` is the label of those that are ours."""

    name: str
    group: str
    version: str
    plural: str
    selector: str = ""

    def path(self, namespace: str | None, name: str | None = None) -> str:
        return api_path(self.group, self.version, self.plural, namespace, name)


SECRET_LABEL: Final = "ranvier.dev/secret"
"""On Secrets that were made through the REST API; it sees no others."""

DEVBOXES: Final = ObjectKind(DEVBOX.name, GROUP, VERSION, DEVBOX.plural)
BLUEPRINTS: Final = ObjectKind(BLUEPRINT.name, GROUP, VERSION, BLUEPRINT.plural)
SECRETS: Final = ObjectKind("Secret", "", "v1", "secrets", SECRET_LABEL)


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects, and the version from which a watch goes on."""

    items: list[RawObject]
    version: str


Heard = Callable[[str, RawObject], None]
"""ADDED, MODIFIED or DELETED, and the object; called in the event loop."""


class WatchEnded(Exception):
    """The version is too old to go on from: list anew."""


class Objects(Protocol):
    async def list(self, kind: ObjectKind, namespace: str | None) -> Listing:
        """Those of a namespace, or of every one."""
        ...

    async def watch(
        self, kind: ObjectKind, namespace: str | None, version: str, heard: Heard
    ) -> str:
        """Hear of changes after a version until the watch's time is over; the version to go on
        from. Raises WatchEnded when that is no longer possible."""
        ...

    async def get(self, kind: ObjectKind, namespace: str, name: str) -> RawObject | None: ...

    async def create(self, kind: ObjectKind, body: RawObject) -> RawObject: ...

    async def patch(
        self, kind: ObjectKind, namespace: str, name: str, patch: RawObject, part: str = ""
    ) -> RawObject | None:
        """JSON merge patch; `part` is a subresource such as `status`. None if it is gone."""
        ...

    async def delete(self, kind: ObjectKind, namespace: str, name: str, uid: str) -> bool:
        """Exactly this object; False when it is gone already."""
        ...
