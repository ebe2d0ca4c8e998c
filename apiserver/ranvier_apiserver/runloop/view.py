"""A Devbox resource as Runloop's DevboxView, whoever made it. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from ranvier.events import devbox_id
from ranvier.resources import Devbox, DevboxStatus, ObjectMeta

from ranvier_apiserver.runloop import launch
from ranvier_apiserver.runloop.naming import BLUEPRINT_ID_PREFIX
from ranvier_apiserver.runloop.status import (
    FailureReason,
    Standing,
    Status,
    failure_reason,
    standing,
)


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
    """Where it began, its last failure, and where it is; all that lay between is on its axons as
    `devbox.*` events."""
    begun = {
        "status": Status.PROVISIONING.value,
        "transition_time_ms": _milliseconds(devbox.metadata.creation_timestamp),
    }
    failed = devbox.status.last_failure
    told = [_failed(failed.time, failure_reason(failed.reason))] if failed is not None else []
    if stands.status is Status.PROVISIONING:
        return [begun, *told]
    if stands.failure is not None:
        # An obstacle is a failure for as long as the devbox is not ready, told or not.
        is_told = failed is not None and failed.reason == stands.reason
        return [begun, *(told if is_told else [_failed(stands.since, stands.failure)])]
    reached: dict[str, Any] = {
        "status": stands.status.value,
        "transition_time_ms": _milliseconds(stands.since),
    }
    return [begun, *told, reached]


def _failed(since: datetime | None, reason: FailureReason) -> dict[str, Any]:
    return {
        "status": Status.FAILURE.value,
        "transition_time_ms": _milliseconds(since),
        "failure_reason": reason.value,
    }


def _milliseconds(moment: datetime | None) -> int | None:
    return round(moment.timestamp() * 1000) if moment is not None else None
