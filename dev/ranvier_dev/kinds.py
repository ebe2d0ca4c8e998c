"""The kinds of objects that are kept here, and what is asked of a new one. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError
from ranvier.resources import GROUP, KINDS, VERSION

RawObject = dict[str, Any]


class Invalid(Exception):
    """The object is not as its kind must be; the message names the field."""


@dataclass(frozen=True, slots=True)
class Served:
    """One kind. `kept_max`: the oldest go when there are more, for what nobody cleans up."""

    group: str
    version: str
    plural: str
    kind: str
    has_status: bool = False
    is_lasting: bool = True
    kept_max: int | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


PODS: Final = Served("", "v1", "pods", "Pod", has_status=True, is_lasting=False)
CLAIMS: Final = Served("", "v1", "persistentvolumeclaims", "PersistentVolumeClaim", has_status=True)
SECRETS: Final = Served("", "v1", "secrets", "Secret")
EVENTS: Final = Served("", "v1", "events", "Event", is_lasting=False, kept_max=1000)
LEASES: Final = Served("coordination.k8s.io", "v1", "leases", "Lease", is_lasting=False)
OURS: Final = tuple(Served(GROUP, VERSION, k.plural, k.name, has_status=True) for k in KINDS)
DEVBOXES: Final = next(kind for kind in OURS if kind.plural == "devboxes")

NAMESPACES: Final = Served("", "v1", "namespaces", "Namespace", is_lasting=False)
CRDS: Final = Served(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition",
    is_lasting=False,
)  # fmt: skip
"""These two are only said to exist: Kopf begins no watch before it has heard of them."""

SERVED: Final = (PODS, CLAIMS, SECRETS, EVENTS, LEASES, NAMESPACES, CRDS, *OURS)

_MODELS: Final = {kind.name: kind.model for kind in KINDS}


def admitted(served: Served, body: Mapping[str, Any]) -> RawObject:
    """The object with its defaults filled in. Raises Invalid.

    Types, ranges and required fields are checked by the models that the CRDs are written from; the
    CRDs' CEL rules are a cluster's alone.
    """
    model = _MODELS.get(served.kind)
    if model is None:
        return dict(body)
    try:
        without_status = {key: value for key, value in body.items() if key != "status"}
        spec = model.model_validate(without_status).model_dump(
            mode="json", by_alias=True, exclude_none=True, include={"spec"}
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{served.kind} is invalid: {where}: {first['msg']}") from None
    return {**body, **spec}
