"""The Devbox resource: an agent's machine, which sleeps between events.

`spec` is the owner's alone: no controller writes it, not even to put the devbox to sleep (W5). What
was decided automatically stands in `status`, with its reason.
"""

from enum import StrEnum
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from ranvier.resources.base import Count, Model, Name, Resource, Time, cel
from ranvier.resources.conditions import Conditions
from ranvier.resources.mounts import Mounts
from ranvier.resources.settings import Described, Home, PodSettings


class OperatingMode(StrEnum):
    """The owner's switch."""

    RUNNING = "Running"
    SUSPENDED = "Suspended"


class OnIdle(StrEnum):
    """What happens when the idle time is over."""

    SUSPEND = "Suspend"
    SHUTDOWN = "Shutdown"


class Operation(StrEnum):
    """What the REST API can be asked to do with a devbox."""

    SUSPEND = "Suspend"
    RESUME = "Resume"
    SHUTDOWN = "Shutdown"


class ShutdownReason(StrEnum):
    """Why a devbox ended for good."""

    REQUESTED = "Requested"
    IDLE = "Idle"
    KEEP_ALIVE_EXPIRED = "KeepAliveExpired"
    ENTRYPOINT_EXITED = "EntrypointExited"
    TTL_EXPIRED = "TtlExpired"


class AfterIdle(Model):
    """What happens when nothing happens."""

    idle_time_seconds: Annotated[
        int,
        Field(
            json_schema_extra={
                "format": "int32",
                **cel(
                    "self >= 1",
                    "idleTimeSeconds is a number of seconds from 1 up; to keep a devbox running, "
                    "leave afterIdle out",
                ),
            }
        ),
    ]
    """Seconds without a turn, an unread event or other activity after which `onIdle` happens.
    Looking at a devbox is no activity."""
    on_idle: OnIdle = OnIdle.SUSPEND
    """`Suspend`: the pod goes, the home volume stays, the next event wakes it. `Shutdown`: it ends
    for good."""


class ResumeTriggers(Model):
    """What wakes a suspended devbox."""

    axon_event: bool = True
    """Whether an event that a user or an external system publishes to a mounted axon wakes it. When
    false it sleeps on until its owner sets `operatingMode: Suspended` and then `Running` again, or
    calls resume in the REST API."""


def _from_one(name: str) -> Any:
    """A number of seconds that counts something."""
    guard = cel("self >= 1", f"{name} is a number of seconds from 1 up, or left out")
    return Field(json_schema_extra={"format": "int32", **guard})


class Lifecycle(Model):
    """When the devbox sleeps and what wakes it."""

    after_idle: AfterIdle | None = None
    """What happens when nothing happens. Where not set the devbox never sleeps by itself."""
    keep_alive_seconds: Annotated[int, _from_one("keepAliveSeconds")] | None = None
    """Seconds after its start, or after the last keep_alive call of the REST API, after which a
    running devbox is shut down for good, whatever it does. Ignored where `afterIdle` is set; where
    neither is set it runs until somebody stops it."""
    ttl_seconds: Annotated[int, _from_one("ttlSeconds")] | None = None
    """Seconds after it was made after which it is shut down for good, whatever it does, asleep or
    not. Where not set it lives until somebody ends it."""
    resume_triggers: ResumeTriggers = ResumeTriggers()
    """What wakes it. A hold by `operatingMode: Suspended` is broken by none of them."""


_STORAGE_CLASS_OF = (
    "(has({0}.home) && has({0}.home.storageClassName) ? {0}.home.storageClassName : '')"
)


class DevboxSpec(PodSettings, Described):
    """What the devbox shall be. Settings left out here come from the Blueprint, if it names one."""

    model_config = ConfigDict(
        json_schema_extra={
            "x-kubernetes-validations": [
                {
                    "rule": "has(self.blueprintName) != has(self.image)",
                    "message": "set exactly one of blueprintName (a Blueprint of this namespace, "
                    "with its image and defaults) and image (a container image)",
                },
                {
                    "rule": f"{_STORAGE_CLASS_OF.format('self')}"
                    f" == {_STORAGE_CLASS_OF.format('oldSelf')}",
                    "message": "home.storageClassName is fixed when the devbox is made; "
                    "make a new devbox to use another storage class",
                },
                {
                    "rule": "!has(oldSelf.home) || !has(oldSelf.home.size) || !has(self.home) || "
                    "!has(self.home.size) || quantity(string(self.home.size)).compareTo("
                    "quantity(string(oldSelf.home.size))) >= 0",
                    "message": "home.size can not shrink; set the old size or a larger one",
                },
            ]
        }
    )

    operating_mode: OperatingMode = OperatingMode.RUNNING
    """The owner's switch, which no controller writes. `Running`: the devbox runs, and sleeps and
    wakes as `lifecycle` says. `Suspended`: it is held asleep and no event wakes it; events wait on
    the axon. Suspended means that the home volume is kept, and that processes and memory are
    gone."""
    blueprint_name: Name | None = None
    """The Blueprint to start from. Either this or `image`."""
    image: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    """The container image, any with `/bin/sh` and the agent's program in it. Either this or
    `blueprintName`."""
    mounts: Mounts = ()
    """What the devbox is given, up to 32: each entry has exactly one key, `brokerMount` (at most 8
    of these), `fileMount` or `codeMount`. Without a broker mount it is a plain box that no event
    wakes."""
    lifecycle: Lifecycle = Lifecycle()
    """When it sleeps and what wakes it."""
    entrypoint: Annotated[str, Field(min_length=1, max_length=65536)] | None = None
    """A shell command that runs beside the agent, after `launchCommands`. When it ends, the devbox
    is shut down for good."""
    home: Home | None = None
    """The home directory: the one place that outlives a sleep."""


class Wake(Model):
    """The journal's call: an unread event wants this devbox awake."""

    generation: Count
    """The `sleepGeneration` that it shall wake from. A call of an older one is history."""
    axon_id: Annotated[str, Field(max_length=128)]
    """The axon with the unread event."""
    sequence: Annotated[int, Field(ge=1, json_schema_extra={"format": "int64"})]
    """The event's sequence."""
    time: Time
    """When the event was published."""


class Request(Model):
    """The last thing that the REST API was asked to do with this devbox."""

    operation: Operation
    """What was asked."""
    generation: Count = 0
    """The `sleepGeneration` that a suspend leads to, or that a resume ends."""
    time: Time
    """When it was asked."""
    id: Annotated[str, Field(max_length=128)] = ""
    """Which request it was, so that one that is sent again is known."""


class Failure(Model):
    """One failure, which is told on the devbox's axons too (`devbox.failed`)."""

    reason: Annotated[str, Field(max_length=256)]
    """A reason of the condition Ready; docs/conditions.md says what to do."""
    message: Annotated[str, Field(max_length=2048)] = ""
    """A sentence for people."""
    time: Time
    """When it happened, or when it was clear that waiting longer would not help."""


class HomeFull(Model):
    """The sidecar of a pod found the home volume full."""

    generation: Count
    """The `sleepGeneration` of that pod; what one of an older generation said is history."""
    size: Annotated[str, Field(max_length=32)]
    """How much the volume holds."""
    time: Time
    """When it was told."""


class DevboxStatus(Model):
    """What the operator saw and decided."""

    observed_generation: Count = 0
    """The `metadata.generation` that this status was computed for."""
    conditions: Conditions = ()
    """`Ready`: its agent can take a turn. `Suspended`: the pod is gone on purpose. `Accepted`: all
    that the spec refers to was found. Reasons and what to do about them: docs/conditions.md."""
    sleep_generation: Count | None = None
    """How often the devbox was put to sleep. A pod carries the number it was made for; one of an
    older number is deleted."""
    pod_name: Annotated[str, Field(max_length=253)] | None = None
    """The pod, in the same namespace; absent while suspended."""
    home_volume_claim_name: Annotated[str, Field(max_length=253)] | None = None
    """The claim behind the home directory: made with the first pod, and there while suspended."""
    image: Annotated[str, Field(max_length=1024)] | None = None
    """The image of the pod, or of the next one while suspended."""
    wake: Wake | None = None
    """The last call to wake, written by the API server after the event was committed."""
    request: Request | None = None
    """The last request of the REST API, written by the API server."""
    keep_alive_time: Time | None = None
    """When keep_alive was called last, written by the API server; only where `keepAliveSeconds`
    counts."""
    home_full: HomeFull | None = None
    """That nothing more can be written to the home directory, written by the API server; absent
    while there is room."""
    last_activity_time: Time | None = None
    """The last activity before it was put to sleep. Not updated while it runs: ask the REST API."""
    next_check_time: Time | None = None
    """When a start that failed is tried again."""
    shutdown_time: Time | None = None
    """When it was shut down for good."""
    shutdown_reason: ShutdownReason | None = None
    """Why it was shut down."""
    last_failure: Failure | None = None
    """The last time that something made it fail; it stays when the devbox is well again."""


class Devbox(Resource):
    """A devbox runs an agent in a pod with a home volume. It sleeps when it is idle: the pod goes,
    the volume stays. The next event on one of its axons wakes it with its session."""

    kind: str = "Devbox"
    spec: DevboxSpec
    """What the devbox shall be. The owner's alone: no controller writes it."""
    status: DevboxStatus = DevboxStatus()
    """What the operator saw and decided. Written by Ranvier only."""
