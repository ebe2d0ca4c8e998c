"""The claim of a devbox's home directory: what it remembers while it sleeps. PURE.

With `deletionPolicy: Delete` the devbox owns the claim, so Kubernetes removes it with the devbox.
With `Retain` nobody owns it; a later devbox of the same name finds its labels on it and goes on
with it.
"""

from decimal import Decimal, InvalidOperation
from typing import Any, Final

from ranvier.resources import Devbox

from ranvier_operator.naming import label_value, labels, owner_reference, volume_name
from ranvier_operator.observed import VolumeSeen
from ranvier_operator.resolution import HomeWanted

_FACTORS: Final = {
    "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18, "m": -3, "u": -6, "n": -9,
}  # fmt: skip
_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}


def home_claim(devbox: Devbox, home: HomeWanted) -> dict[str, Any]:
    """The claim as it is created."""
    metadata: dict[str, Any] = {
        "name": volume_name(devbox.metadata.name),
        "namespace": devbox.metadata.namespace,
        "labels": labels(devbox.metadata.name),
    }
    if not home.retain:
        metadata["ownerReferences"] = [owner_reference(devbox)]
    spec: dict[str, Any] = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": home.size}},
    }
    if home.storage_class_name is not None:
        spec["storageClassName"] = home.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }


def is_ours(devbox: Devbox, volume: VolumeSeen) -> bool:
    """Whether this claim is the devbox's: owned by it, or left for its name by `Retain`."""
    if volume.owner_uid is not None:
        return volume.owner_uid == devbox.metadata.uid
    return volume.devbox_label == label_value(devbox.metadata.name)


def adjustment(devbox: Devbox, home: HomeWanted, volume: VolumeSeen) -> dict[str, Any] | None:
    """The merge patch that brings an existing claim to what the spec says, or None.

    Two things may change: who owns it, as the deletion policy says, and its size, upwards.
    """
    patch: dict[str, Any] = {}
    owned = volume.owner_uid == devbox.metadata.uid
    if owned is home.retain:
        owners = [] if home.retain else [owner_reference(devbox)]
        patch["metadata"] = {"ownerReferences": owners}
    if volume.size is not None and amount(home.size) > amount(volume.size):
        patch["spec"] = {"resources": {"requests": {"storage": home.size}}}
    if not patch:
        return None
    patch.setdefault("metadata", {})["uid"] = volume.uid
    return patch


def amount(quantity: str) -> Decimal:
    """A Kubernetes quantity as a number; 0 where it can not be read."""
    digits = quantity.rstrip("kKMGTPEimun")
    suffix = quantity[len(digits) :]
    try:
        value = Decimal(digits)
    except InvalidOperation:
        return Decimal(0)
    if suffix in _BINARY:
        return value * Decimal(1024) ** _BINARY[suffix]
    return value.scaleb(_FACTORS.get(suffix, 0))
