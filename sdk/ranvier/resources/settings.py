"""What a pod is made with: the settings that a Blueprint gives and a Devbox may override.

A Devbox's value wins over its Blueprint's, field by field; `env` is merged by name, `nodeSelector`
by key, the other lists and maps are replaced whole. What neither sets has the defaults below.
"""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from ranvier.internal import DeletionPolicy
from ranvier.resources.base import ABSOLUTE_PATH, Model, Name, Quantity, cel, list_map

DEFAULT_HOME_SIZE: Final = "1Gi"
DEFAULT_HOME_PATH: Final = "/home/user"
DEFAULT_USER_UID: Final = 1000

LabelMap = Annotated[
    dict[str, Annotated[str, Field(max_length=63)]],
    Field(json_schema_extra={"maxProperties": 64}),
]
ResourceMap = Annotated[dict[str, Quantity], Field(json_schema_extra={"maxProperties": 16})]


class ImagePullPolicy(StrEnum):
    """When a node asks the registry for an image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class TolerationOperator(StrEnum):
    """How a toleration's key and value are compared with a taint's."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Described(Model):
    """A name and words of one's own, for people and programs; Kubernetes' own name stays apart."""

    display_name: Annotated[str, Field(max_length=1024)] | None = None
    """A name for people, any text; `metadata.name` where not set. The REST API's `name`."""
    metadata: dict[str, Annotated[str, Field(max_length=1024)]] = Field(
        default_factory=dict, json_schema_extra={"maxProperties": 64}
    )
    """Words of your own, up to 64. They are shown by the REST API and never interpreted."""


class SecretKey(Model):
    """One entry of a Secret in the same namespace."""

    name: Name
    """The Secret's name."""
    key: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
    """The entry's key."""


class EnvSource(Model):
    """Where an environment variable's value comes from."""

    secret_key_ref: SecretKey
    """A Secret's entry. The agent can read it: what it must not see belongs to a gateway."""


class EnvVar(Model):
    """An environment variable of the agent and of everything else in the devbox container."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            "!has(self.valueFrom) || !has(self.value) || size(self.value) == 0",
            "set value (the text itself) or valueFrom (a Secret with it), not both",
        )
    )

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=256,
            pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$",
            json_schema_extra=cel(
                "!self.startsWith('RANVIER_')",
                "names that start with RANVIER_ belong to the system; choose another name",
            ),
        ),
    ]
    """The variable's name. `RANVIER_…` is reserved."""
    value: Annotated[str, Field(max_length=131072)] = ""
    """The variable's value, taken as it is: no `$(…)` expansion, no shell. Not a place for secrets:
    everybody who may read the resource reads it."""
    value_from: EnvSource | None = None
    """Where the value comes from, instead of `value`."""


class Resources(Model):
    """Compute resources of the devbox container, as in a Pod."""

    requests: ResourceMap | None = None
    """What the scheduler reserves, `{cpu: 250m, memory: 512Mi}` for example."""
    limits: ResourceMap | None = None
    """What the container may not exceed. Beyond its memory limit the agent is killed, the open turn
    ends with `turn.failed`, and the queue goes on."""


class HomeSettings(Model):
    """The volume for the home directory: what the devbox remembers while it sleeps."""

    size: Quantity | None = None
    """How much it holds; 1Gi where neither Devbox nor Blueprint says. It may grow later if the
    storage class can, and never shrinks."""
    storage_class_name: Name | None = None
    """Storage class of the claim; the cluster's default where not set. Fixed once the claim
    exists."""
    path: Annotated[str, Field(max_length=1024, pattern=ABSOLUTE_PATH)] | None = None
    """Where it is mounted, also `HOME` and the agent's working directory; `/home/user` where not
    set."""


class Home(HomeSettings):
    """A devbox's home directory."""

    deletion_policy: DeletionPolicy = DeletionPolicy.DELETE
    """What becomes of the claim when the Devbox is deleted or shut down: `Delete` removes it with
    all its data, `Retain` leaves it for you. Suspending always keeps it."""


class User(Model):
    """Whom the devbox container runs as."""

    uid: Annotated[
        int,
        Field(
            json_schema_extra={
                "format": "int64",
                "maximum": 2147483647,
                **cel(
                    "self >= 1",
                    "uid is a user id from 1 up: root (0) is refused, pods are PodSecurity "
                    "restricted; choose the id of a user that the image knows",
                ),
            }
        ),
    ] = DEFAULT_USER_UID
    """User id, also the group of the home volume. Root (0) is refused: pods are PodSecurity
    `restricted`."""


class SecretName(Model):
    """A Secret in the same namespace."""

    name: Name
    """The Secret's name."""


class Toleration(Model):
    """Lets the pod onto nodes with a matching taint, as in a Pod."""

    key: Annotated[str, Field(max_length=316)] | None = None
    """Key of the taint; every taint when empty and `operator` is `Exists`."""
    operator: TolerationOperator = TolerationOperator.EQUAL
    """`Equal` compares `value`, `Exists` takes any value."""
    value: Annotated[str, Field(max_length=63)] | None = None
    """Value of the taint."""
    effect: TaintEffect | None = None
    """Effect of the taint; every effect when not set."""
    toleration_seconds: Annotated[int, Field(json_schema_extra={"format": "int64"})] | None = None
    """How long a `NoExecute` taint is tolerated; for ever when not set."""


class PodSettings(Model):
    """Settings that Blueprint and Devbox have in common."""

    image_pull_policy: ImagePullPolicy | None = None
    """When nodes ask the registry: `Always`, `IfNotPresent` or `Never`. Kubernetes' own rule where
    not set: `Always` for the tag `latest`, else `IfNotPresent`."""
    image_pull_secrets: Annotated[
        tuple[SecretName, ...], Field(max_length=16, json_schema_extra=list_map("name"))
    ] = ()
    """Secrets of this namespace with credentials for the image's registry."""
    env: Annotated[
        tuple[EnvVar, ...], Field(max_length=128, json_schema_extra=list_map("name"))
    ] = ()
    """Environment variables, each name once. A Devbox's are added to its Blueprint's and win over
    those of the same name. A change takes effect at the next start."""
    launch_commands: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=32768)], ...], Field(max_length=64)
    ] = ()
    """Shell commands that run in the home directory at every start, after a sleep too, one after
    the other and before the agent. One that fails keeps the devbox from starting; it is tried
    again. Their output is in the log of the pod's container `devbox`."""
    resources: Resources | None = None
    """Compute resources of the devbox container. The broker beside it has its own, small ones."""
    user: User | None = None
    """Whom the container runs as; user id 1000 where not set."""
    runtime_class_name: Name | None = None
    """RuntimeClass of the pod, for gVisor or Kata for example; the cluster's default where not
    set."""
    node_selector: LabelMap | None = None
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=32)] = ()
    """Taints that the pod tolerates."""
