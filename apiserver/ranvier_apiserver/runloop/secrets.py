"""Runloop's secrets and Kubernetes' Secrets, both ways. Pure. A value is never shown."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from ranvier_apiserver.kube.objects import SECRET_LABEL
from ranvier_apiserver.runloop.manifest import SECRET_KEY, Place
from ranvier_apiserver.runloop.naming import REQUEST_ANNOTATION, SECRET_ID_PREFIX

NAME_ANNOTATION: Final = "ranvier.dev/secret-name"
UPDATED_ANNOTATION: Final = "ranvier.dev/secret-updated-ms"


def secret(name: str, value: str, place: Place, now_ms: int) -> dict[str, Any]:
    """The Secret that holds it."""
    annotations = {NAME_ANNOTATION: name, UPDATED_ANNOTATION: str(now_ms)}
    if place.request:
        annotations[REQUEST_ANNOTATION] = place.request
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": place.namespace,
            "name": place.name,
            "labels": {SECRET_LABEL: "true"},
            "annotations": annotations,
        },
        "type": "Opaque",
        "data": {SECRET_KEY: _encoded(value)},
    }


def tokens(values: Mapping[str, str], place: Place) -> dict[str, Any]:
    """The Secret with the tokens of a devbox's code mounts. `/v1/secrets` does not show it."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "namespace": place.namespace,
            "name": place.tokens,
            "annotations": {REQUEST_ANNOTATION: place.request} if place.request else {},
        },
        "type": "Opaque",
        "data": {entry: _encoded(value) for entry, value in values.items()},
    }


def owned(devbox: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that has an object go with the devbox."""
    metadata = devbox["metadata"]
    owner = {"apiVersion": devbox["apiVersion"], "kind": devbox["kind"]}
    owner |= {"name": metadata["name"], "uid": metadata["uid"]}
    return {"metadata": {"ownerReferences": [owner]}}


def update(value: str, uid: str, now_ms: int) -> dict[str, Any]:
    """The merge patch of a new value; devboxes get it at their next start."""
    return {
        "metadata": {"uid": uid, "annotations": {UPDATED_ANNOTATION: str(now_ms)}},
        "data": {SECRET_KEY: _encoded(value)},
    }


def view(body: Mapping[str, Any]) -> dict[str, Any]:
    """The SDKs' SecretView."""
    metadata = body["metadata"]
    annotations = metadata.get("annotations") or {}
    made = datetime.fromisoformat(metadata["creationTimestamp"]).astimezone(UTC)
    made_ms = round(made.timestamp() * 1000)
    updated = annotations.get(UPDATED_ANNOTATION, "")
    return {
        "id": SECRET_ID_PREFIX + metadata["uid"],
        "name": annotations.get(NAME_ANNOTATION, metadata["name"]),
        "create_time_ms": made_ms,
        "update_time_ms": int(updated) if updated.isdecimal() else made_ms,
    }


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
