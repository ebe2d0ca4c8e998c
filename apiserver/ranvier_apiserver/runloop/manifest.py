"""From Runloop's create call to a Devbox resource. Pure.

What this version does not serve is refused by name, never dropped in silence.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.resources import API_VERSION

from ranvier_apiserver.errors import BadInput, InvalidField
from ranvier_apiserver.runloop import launch, mounts
from ranvier_apiserver.runloop.naming import REQUEST_ANNOTATION
from ranvier_apiserver.runloop.params import CreateDevbox, LaunchParams, UpdateDevbox

SECRET_KEY: Final = "value"
"""The entry of a Secret that holds a Runloop secret's value."""

_SOURCES: Final = ("blueprint_id", "blueprint_name", "snapshot_id")
_UNSERVED: Final = {
    "snapshot_id": "snapshots are not served by this version; use a blueprint",
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

    @property
    def tokens(self) -> str:
        """Name of the Secret with the tokens of its code mounts."""
        return f"{self.name}-code"


def check(params: CreateDevbox) -> None:
    """Refuse what can not be carried out, before anything is looked up."""
    if sum(getattr(params, name) is not None for name in _SOURCES) > 1:
        raise BadInput("Set at most one of blueprint_id, blueprint_name and snapshot_id.")
    for name, why in _UNSERVED.items():
        if getattr(params, name):
            raise InvalidField(f"{name}: {why}.")
    mounts.check(params)
    names = [*(params.environment_variables or {}), *(params.secrets or {})]
    for name in names:
        if name.startswith(_RESERVED):
            raise InvalidField(f"{name}: names that start with {_RESERVED} belong to the system.")
        if names.count(name) > 1:
            raise InvalidField(f"{name}: set in environment_variables and in secrets; choose one.")


def devbox(
    params: CreateDevbox, place: Place, source: Source, secrets: Mapping[str, str]
) -> dict[str, Any]:
    """The resource; `secrets` maps a secret's name to that of the Secret which holds it."""
    given = params.launch_parameters or LaunchParams()
    spec: dict[str, Any] = {
        **launch.pod_settings(given),
        "lifecycle": launch.lifecycle(given),
        "mounts": mounts.resource(params, place.tokens),
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
