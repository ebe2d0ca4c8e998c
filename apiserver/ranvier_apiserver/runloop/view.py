"""A Devbox resource as Runloop's DevboxView, whoever made it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from ranvier.events import devbox_id
from ranvier.resources import Devbox, DevboxStatus, ObjectMeta

from ranvier_apiserver.runloop import launch
from ranvier_apiserver.runloop.naming import BLUEPRINT_ID_PREFIX
from ranvier_apiserver.runloop.status import Standing, Status, standing


def devbox_view(devbox: Devbox, blueprint_uid: str | None, now: datetime) -> dict[str, Any]:
    """All fields of the SDKs' DevboxView, and `ranvier` with what only we know."""
    stands, spec, metadata = standing(devbox, now), devbox.spec, devbox.metadata
    return {
        "id": devbox_id(metadata.uid),
        "name": spec.display_name or metadata.name,
        "status": stands.status.value,
        "create_time_ms": _milliseconds(metadata.creation_timestamp) or 0,
        "end_time_ms": _milliseconds(stands.since) if stands.status is Status.SHUTDOWN else None,
        "metadata": dict(spec.metadata),
        "capabilities": [],
        "launch_parameters": launch.view(spec),
        "state_transitions": _transitions(devbox, stands),
        "blueprint_id": BLUEPRINT_ID_PREFIX + blueprint_uid if blueprint_uid else None,
        "snapshot_id": None,
        "failure_reason": stands.failure.value if stands.failure else None,
        "shutdown_reason": stands.shutdown,
        "tunnel": None,
        "ranvier": {
            "namespace": metadata.namespace,
            "name": metadata.name,
            "reason": stands.reason,
            "message": stands.message,
        },
    }


def read(body: Mapping[str, Any]) -> Devbox:
    """A Devbox from the API server. One that an older schema let in and that this version can not
    read is shown all the same, with an empty spec: its conditions say what is wrong."""
    try:
        return Devbox.read(body)
    except ValidationError:
        bare = {"metadata": body["metadata"], "spec": {}, "status": _readable_status(body)}
        return Devbox.read(bare)


def _readable_status(body: Mapping[str, Any]) -> Any:
    status = body.get("status") or {}
    try:
        DevboxStatus.model_validate(status)
        ObjectMeta.model_validate(body["metadata"])
    except ValidationError:
        return {}
    return status


def _transitions(devbox: Devbox, stands: Standing) -> list[dict[str, Any]]:
    """Where it began and where it is; what lay between is on its axons as `devbox.*` events."""
    begun = {
        "status": Status.PROVISIONING.value,
        "transition_time_ms": _milliseconds(devbox.metadata.creation_timestamp),
    }
    if stands.status is Status.PROVISIONING:
        return [begun]
    reached: dict[str, Any] = {
        "status": stands.status.value,
        "transition_time_ms": _milliseconds(stands.since),
    }
    if stands.failure is not None:
        reached["failure_reason"] = stands.failure.value
    return [begun, reached]


def _milliseconds(moment: datetime | None) -> int | None:
    return round(moment.timestamp() * 1000) if moment is not None else None
