"""Names, labels, annotations and owner references of what the operator makes.

Every name follows from the devbox's own, so two looks at the same devbox always mean the same pod,
however stale they are. PURE.
"""

import hashlib
from typing import Any, Final

from ranvier.resources import API_VERSION, Devbox

FIELD_MANAGER: Final = "ranvier-operator"
"""Who the API server records as the writer of our fields."""

LABEL_DEVBOX: Final = "ranvier.dev/devbox"
"""On pods and claims: the devbox they belong to. The operator watches only objects that carry
it."""
GENERATION_ANNOTATION: Final = "ranvier.dev/generation"
"""On pods: the journal's generation of the devbox that the pod was made for."""

LABEL_CHARS_MAX: Final = 63
NAME_CHARS_MAX: Final = 253
_DIGEST_CHARS: Final = 8
_HOME_SUFFIX: Final = "-home"


def shortened(name: str, limit: int) -> str:
    """`name`, or its beginning and a digest of the whole where it is longer than `limit`."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_DIGEST_CHARS]
    return name[: limit - _DIGEST_CHARS - 1].rstrip("-.") + "-" + digest


def pod_name(devbox: str) -> str:
    """A devbox has one pod at a time, under its own name."""
    return devbox


def volume_name(devbox: str) -> str:
    """The claim of the home directory."""
    return shortened(devbox, NAME_CHARS_MAX - len(_HOME_SUFFIX)) + _HOME_SUFFIX


def label_value(devbox: str) -> str:
    """The devbox's name as labels can hold it."""
    return shortened(devbox, LABEL_CHARS_MAX)


def labels(devbox: str) -> dict[str, str]:
    """Labels of everything that is made for a devbox."""
    value = label_value(devbox)
    return {
        "app.kubernetes.io/name": "devbox",
        "app.kubernetes.io/instance": value,
        "app.kubernetes.io/component": "devbox",
        "app.kubernetes.io/part-of": "ranvier",
        "app.kubernetes.io/managed-by": FIELD_MANAGER,
        LABEL_DEVBOX: value,
    }


def owner_reference(devbox: Devbox) -> dict[str, Any]:
    """Lets Kubernetes delete what the devbox owned, whether the operator runs or not."""
    return {
        "apiVersion": API_VERSION,
        "kind": devbox.kind,
        "name": devbox.metadata.name,
        "uid": devbox.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
