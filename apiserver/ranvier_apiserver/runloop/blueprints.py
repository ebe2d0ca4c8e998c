"""Runloop's blueprints and our Blueprint resources, both ways. Pure.

Ranvier builds no images: a blueprint is an image that exists, which Runloop's create call can say
with a Dockerfile of one line, `FROM image`, and the launch parameters that go with it.
"""

import re
from datetime import datetime
from typing import Any, Final

from ranvier.resources import API_VERSION, Blueprint, BlueprintReason, ConditionType

from ranvier_apiserver.errors import InvalidField
from ranvier_apiserver.runloop import launch
from ranvier_apiserver.runloop.manifest import Place
from ranvier_apiserver.runloop.naming import BLUEPRINT_ID_PREFIX, REQUEST_ANNOTATION
from ranvier_apiserver.runloop.params import CreateBlueprint, LaunchParams

BUILT: Final = "build_complete"
FAILED: Final = "failed"

_FROM: Final = re.compile(r"FROM\s+(?P<image>[^\s#]+)", re.IGNORECASE)
_BUILD_FIELDS: Final = (
    "base_blueprint_id",
    "base_blueprint_name",
    "system_setup_commands",
    "build_context",
    "build_args",
    "code_mounts",
    "file_mounts",
    "secrets",
    "services",
    "network_policy_id",
)


def blueprint(params: CreateBlueprint, place: Place) -> dict[str, Any]:
    """The resource."""
    for name in _BUILD_FIELDS:
        if getattr(params, name):
            raise InvalidField(
                f"{name}: needs a build, and Ranvier builds no images. Build the image elsewhere "
                "and send a dockerfile of one line, 'FROM your/image:tag'."
            )
    given = params.launch_parameters or LaunchParams()
    spec = {
        "image": image_of(params.dockerfile),
        "displayName": params.name,
        "metadata": dict(params.metadata or {}),
        **launch.pod_settings(given),
    }
    annotations = {REQUEST_ANNOTATION: place.request} if place.request else {}
    return {
        "apiVersion": API_VERSION,
        "kind": "Blueprint",
        "metadata": {
            "namespace": place.namespace,
            "name": place.name,
            "annotations": annotations,
        },
        "spec": spec,
    }


def image_of(dockerfile: str | None) -> str:
    """The image of a Dockerfile that does nothing but start from it."""
    lines = [line.strip() for line in (dockerfile or "").splitlines()]
    words = [line for line in lines if line and not line.startswith("#")]
    found = _FROM.fullmatch(words[0]) if len(words) == 1 else None
    if found is None:
        raise InvalidField(
            "dockerfile: Ranvier builds no images. Build it elsewhere and send one line, "
            "'FROM your/image:tag'."
        )
    return found["image"]


def view(found: Blueprint) -> dict[str, Any]:
    """All fields of the SDKs' BlueprintView."""
    metadata, spec = found.metadata, found.spec
    made_ms = _milliseconds(metadata.creation_timestamp)
    name = name_of(found)
    return {
        "id": BLUEPRINT_ID_PREFIX + metadata.uid,
        "name": name,
        "status": status_of(found),
        "state": "created",
        "create_time_ms": made_ms,
        "build_finish_time_ms": made_ms,
        "parameters": {
            "name": name,
            "dockerfile": f"FROM {spec.image}",
            "launch_parameters": launch.settings_view(spec),
            "metadata": dict(spec.metadata),
        },
        "metadata": dict(spec.metadata),
        "devbox_capabilities": [],
        "is_public": False,
        "ranvier": {"namespace": metadata.namespace, "name": metadata.name},
    }


def name_of(found: Blueprint) -> str:
    return found.spec.display_name or found.metadata.name


def goes_by(found: Blueprint, name: str) -> bool:
    """Whether this is a blueprint of that name, Kubernetes' own or the one for people."""
    return name in (found.metadata.name, found.spec.display_name)


def status_of(found: Blueprint) -> str:
    """There is nothing to build, so it is complete unless the operator says that it can not be."""
    for condition in found.status.conditions:
        if condition.type == ConditionType.READY and condition.status == "False":
            return FAILED if condition.reason == BlueprintReason.SPEC_INVALID else BUILT
    return BUILT


def _milliseconds(moment: datetime | None) -> int:
    return round(moment.timestamp() * 1000) if moment is not None else 0
