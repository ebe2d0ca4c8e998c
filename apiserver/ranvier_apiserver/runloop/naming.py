"""Names of Kubernetes objects for things that Runloop names freely, and ids. Pure."""

import hashlib
import re
from typing import Final

from ranvier.events import DEVBOX_ID_PREFIX

BLUEPRINT_ID_PREFIX: Final = "bpt_"
SECRET_ID_PREFIX: Final = "sec_"

REQUEST_ANNOTATION: Final = "ranvier.dev/request"
"""The request that an object was made by, so that the same request finds it again (J4)."""

SLUG_CHARACTERS_MAX: Final = 40
"""With a digest behind it the name still fits into a label, and a pod's host name."""
DIGEST_CHARACTERS: Final = 10

_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")


def uid_of(prefix: str, identifier: str) -> str:
    """The resource's UID in an id; an id of another kind leads nowhere."""
    return identifier.removeprefix(prefix) if identifier.startswith(prefix) else ""


def is_uid(text: str) -> bool:
    """Whether this could be the UID of a Kubernetes object."""
    return _UUID.fullmatch(text) is not None


def object_name(wanted: str | None, seed: bytes, default: str) -> str:
    """A name that begins like the wanted one; the same seed gives the same name again."""
    digest = hashlib.sha256(seed).hexdigest()[:DIGEST_CHARACTERS]
    return f"{_slug(wanted or '') or default}-{digest}"


def plain_name(wanted: str) -> str | None:
    """The wanted name itself, where Kubernetes can use it."""
    fits = len(wanted) <= SLUG_CHARACTERS_MAX and _DNS_LABEL.fullmatch(wanted)
    return wanted if fits else None


def secret_object_name(name: str) -> str:
    """A secret's name is its identity, so its object's name follows from it alone."""
    return object_name(name, name.encode(), "secret")


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:SLUG_CHARACTERS_MAX].rstrip("-")


__all__ = [
    "BLUEPRINT_ID_PREFIX",
    "DEVBOX_ID_PREFIX",
    "REQUEST_ANNOTATION",
    "SECRET_ID_PREFIX",
    "is_uid",
    "object_name",
    "plain_name",
    "secret_object_name",
    "uid_of",
]
