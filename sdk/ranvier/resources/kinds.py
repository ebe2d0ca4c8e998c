"""The kinds of the group: names as `kubectl` and clients use them, and what `kubectl get` shows."""

from dataclasses import dataclass
from typing import Final, Literal

from ranvier.resources.axon import Axon
from ranvier.resources.base import Resource
from ranvier.resources.blueprint import Blueprint
from ranvier.resources.devbox import Devbox


@dataclass(frozen=True, slots=True)
class Column:
    """A column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    json_path: str
    description: str
    type: Literal["string", "integer", "date"] = "string"
    wide: bool = False


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of the group, with the model its schema is written from."""

    name: str
    plural: str
    short_name: str
    model: type[Resource]
    columns: tuple[Column, ...]

    @property
    def singular(self) -> str:
        return self.name.lower()


def api_path(
    group: str, version: str, plural: str, namespace: str | None, name: str | None = None
) -> str:
    """Path of objects in a Kubernetes API server; every namespace's where `namespace` is None. The
    core group is the empty one."""
    parts = ["/apis", group] if group else ["/api"]
    parts.append(version)
    if namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(plural)
    if name is not None:
        parts.append(name)
    return "/".join(parts)


def _ready(part: str) -> str:
    return f'.status.conditions[?(@.type=="Ready")].{part}'


_READY = Column("Ready", _ready("status"), "Whether it can be used now.")
_AGE = Column("Age", ".metadata.creationTimestamp", "When it was made.", type="date")

AXON: Final = Kind(
    name="Axon",
    plural="axons",
    short_name="ax",
    model=Axon,
    columns=(
        Column("ID", ".status.axonId", "The axon's id in the REST API."),
        _READY,
        Column(
            "Head", ".status.head", "Newest sequence when last looked.", type="integer", wide=True
        ),
        Column("Why", _ready("message"), "What Ready means now.", wide=True),
        _AGE,
    ),
)

BLUEPRINT: Final = Kind(
    name="Blueprint",
    plural="blueprints",
    short_name="bp",
    model=Blueprint,
    columns=(Column("Image", ".spec.image", "The container image."), _AGE),
)

DEVBOX: Final = Kind(
    name="Devbox",
    plural="devboxes",
    short_name="dbx",
    model=Devbox,
    columns=(
        _READY,
        Column("State", _ready("reason"), "One word: AgentReady, Suspended, Starting …"),
        Column("Why", _ready("message"), "The same as a sentence."),
        Column("Axon", ".spec.mounts[0].brokerMount.axonRef.name", "The Axon of its first mount."),
        Column(
            "Generation",
            ".status.sleepGeneration",
            "How often it was put to sleep.",
            type="integer",
            wide=True,
        ),
        Column("Image", ".status.image", "The container image.", wide=True),
        _AGE,
    ),
)

KINDS: Final = (AXON, BLUEPRINT, DEVBOX)
