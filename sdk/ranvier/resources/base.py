"""What all resources share: the API group, the base model, times, quantities and CEL rules.

The models in this package are the source of the CRDs (`hack/crdgen.py` writes them): an attribute's
docstring is what `kubectl explain` shows. The API server is strict (schema and CEL); reading here
is lenient, so an older operator survives a field or a value range that a newer one added.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP: Final = "ranvier.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "ranvier"
"""`kubectl get ranvier` lists every kind of the group."""

DNS_NAME: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
"""Names of Kubernetes objects."""
ABSOLUTE_PATH: Final = r"^/[^:\x00]*$"
"""Paths in a container. Kubernetes refuses colons in mount paths."""
QUANTITY: Final = r"^([0-9]+|[0-9]+\.[0-9]*|\.[0-9]+)([eE][0-9]+|[KMGTPE]i?|[numk])?$"
"""Quantities as `kubectl` users write them, `500m` or `1Gi`; negative ones make no sense here."""


class Model(BaseModel):
    """Base of every part of a resource: camelCase on the wire, snake_case in Python, immutable."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    def manifest(self) -> dict[str, Any]:
        """JSON as Kubernetes wants it: camelCase, unset fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def cel(rule: str, message: str) -> dict[str, Any]:
    """`json_schema_extra` for a CEL rule; `message` says what is wrong and what to do instead."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message}]}


def list_map(key: str) -> dict[str, Any]:
    """`json_schema_extra` for a list whose items are told apart by `key`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[AwareDatetime, PlainSerializer(_rfc3339, return_type=str, when_used="json")]
"""A moment; written as Kubernetes writes its own, in UTC and whole seconds."""

Quantity = Annotated[
    int | str,
    Field(
        json_schema_extra={
            "x-kubernetes-int-or-string": True,
            "pattern": QUANTITY,
            "maxLength": 32,
        }
    ),
]
"""An amount such as `500m` or `1Gi`, or a plain number."""

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=DNS_NAME)]
"""The name of another object in the same namespace."""

Count = Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})]
"""A counter: sequences, generations."""


class ObjectMeta(Model):
    """The parts of `metadata` that Ranvier reads."""

    name: str
    namespace: str = ""
    uid: str = ""
    generation: int = 0
    resource_version: str = ""
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}


class Resource(Model):
    """Base of Axon, Blueprint and Devbox. `spec` is the user's, `status` is the controllers'."""

    api_version: str = API_VERSION
    kind: str = ""
    metadata: ObjectMeta

    @classmethod
    def read(cls, body: Any) -> Self:
        """A resource from what the API server (or a watch) gave, unknown fields ignored."""
        return cls.model_validate(dict(body))
