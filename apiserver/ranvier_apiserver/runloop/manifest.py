"""From Runloop's create call to a Devbox resource. Pure.

What this version does not serve is refused by name, never dropped in silence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.resources import API_VERSION, AgentProtocol
from ranvier.resources.mounts import MOUNTS_MAX

from ranvier_apiserver.errors import BadInput, InvalidField
from ranvier_apiserver.runloop import launch
from ranvier_apiserver.runloop.naming import REQUEST_ANNOTATION
from ranvier_apiserver.runloop.params import CreateDevbox, LaunchParams, MountParams, UpdateDevbox

BROKER_MOUNT: Final = "broker_mount"
SECRET_KEY: Final = "value"
"""The entry of a Secret that holds a Runloop secret's value."""

_SOURCES: Final = ("blueprint_id", "blueprint_name", "snapshot_id")
_UNSERVED: Final = {
    "snapshot_id": "snapshots are not served by this version; use a blueprint",
    "file_mounts": "not served by this version; put files into the image or write them with "
    "launch_commands",
    "code_mounts": "not served by this version; clone with launch_commands",
    "gateways": "not served by this version; use secrets",
    "mcp": "not served by this version",
    "tunnel": "not served by this version; make a Service for the devbox's pod",
}
_RESERVED: Final = "RANVIER_"


@dataclass(frozen=True, slots=True)
class Source:
    """What the devbox starts from: a Blueprint of its namespace, or else an image."""

    blueprint: str | None = None
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where the resource is made; `request` is the digest of the request that makes it."""

    namespace: str
    name: str
    request: str = ""


def check(params: CreateDevbox) -> None:
    """Refuse what can not be carried out, before anything is looked up."""
    if sum(getattr(params, name) is not None for name in _SOURCES) > 1:
        raise BadInput("Set at most one of blueprint_id, blueprint_name and snapshot_id.")
    for name, why in _UNSERVED.items():
        if getattr(params, name):
            raise InvalidField(f"{name}: {why}.")
    if len(params.mounts or ()) > MOUNTS_MAX:
        raise InvalidField(f"mounts: a devbox has at most {MOUNTS_MAX}.")
    for index, mount in enumerate(params.mounts or ()):
        _check_mount(f"mounts.{index}", mount)
    names = [*(params.environment_variables or {}), *(params.secrets or {})]
    for name in names:
        if name.startswith(_RESERVED):
            raise InvalidField(f"{name}: names that start with {_RESERVED} belong to the system.")
        if names.count(name) > 1:
            raise InvalidField(f"{name}: set in environment_variables and in secrets; choose one.")


def axon_ids(params: CreateDevbox) -> list[str]:
    """The axons that it will serve; all must exist."""
    return [mount.axon_id or "" for mount in params.mounts or ()]


def devbox(
    params: CreateDevbox, place: Place, source: Source, secrets: Mapping[str, str]
) -> dict[str, Any]:
    """The resource; `secrets` maps a secret's name to that of the Secret which holds it."""
    given = params.launch_parameters or LaunchParams()
    spec: dict[str, Any] = {
        **launch.pod_settings(given),
        "lifecycle": launch.lifecycle(given),
        "mounts": [{"brokerMount": _broker_mount(mount)} for mount in params.mounts or ()],
        "env": _env(params, secrets),
        "metadata": dict(params.metadata or {}),
    }
    if source.blueprint is not None:
        spec["blueprintName"] = source.blueprint
    else:
        spec["image"] = source.image
    if params.name:
        spec["displayName"] = params.name
    if params.entrypoint:
        spec["entrypoint"] = params.entrypoint
    return {
        "apiVersion": API_VERSION,
        "kind": "Devbox",
        "metadata": {
            "namespace": place.namespace,
            "name": place.name,
            "annotations": {REQUEST_ANNOTATION: place.request} if place.request else {},
        },
        "spec": spec,
    }


def update(params: UpdateDevbox, old_metadata: Mapping[str, str]) -> dict[str, Any]:
    """The merge patch of an update; in a merge patch null takes a key away."""
    spec: dict[str, Any] = {}
    if params.name is not None:
        spec["displayName"] = params.name or None
    if params.metadata is not None:
        spec["metadata"] = {**dict.fromkeys(old_metadata), **params.metadata}
    return {"spec": spec}


def patience(asked: float | None, default: float, longest: float) -> float:
    """How long a wait may take, in seconds, from what a client asked for."""
    if asked is None or not math.isfinite(asked):
        return default
    return min(asked, longest)


def _check_mount(where: str, mount: MountParams) -> None:
    if mount.type != BROKER_MOUNT:
        raise InvalidField(
            f"{where}.type: {mount.type} is not served by this version, {BROKER_MOUNT} is; put "
            "files and code into the image, or fetch them with launch_commands."
        )
    if not mount.axon_id:
        raise InvalidField(f"{where}.axon_id: name the axon; POST /v1/axons makes one.")
    protocol = mount.protocol or AgentProtocol.ACP.value
    if protocol not in {known.value for known in AgentProtocol}:
        raise InvalidField(f"{where}.protocol: must be of {', '.join(AgentProtocol)}.")
    if protocol == AgentProtocol.ACP and not mount.agent_binary:
        raise InvalidField(
            f"{where}.agent_binary: acp has no default agent; set it, for example opencode with "
            'launch_args ["acp"].'
        )


def _broker_mount(mount: MountParams) -> dict[str, Any]:
    found = {
        "axonId": mount.axon_id,
        "protocol": mount.protocol or AgentProtocol.ACP.value,
        "agentBinary": mount.agent_binary,
        "launchArgs": list(mount.launch_args or ()),
        "workingDirectory": mount.working_directory,
    }
    return {name: value for name, value in found.items() if value}


def _env(params: CreateDevbox, secrets: Mapping[str, str]) -> list[dict[str, Any]]:
    plain = [
        {"name": name, "value": value}
        for name, value in (params.environment_variables or {}).items()
    ]
    secret = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secrets[of], "key": SECRET_KEY}}}
        for name, of in (params.secrets or {}).items()
    ]
    return [*plain, *secret]
