"""Who a token belongs to: the operator, or the broker of one devbox.

The seam between "a token" and "somebody vouched for it". In a cluster Kubernetes vouches
(`cluster.py`); for local runs and tests a file does.
"""

import asyncio
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from ranvier_apiserver.errors import BadInput

CACHE_SECONDS: Final = 60.0
"""How long a token that was revoked may still work."""

CACHE_TOKENS_MAX: Final = 4096


@dataclass(frozen=True, slots=True)
class Operator:
    """Ranvier's own operator."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The broker in a pod of this devbox; it speaks for the devbox's mounts and nothing else."""

    devbox_uid: str


Identity = Operator | Broker


class Source(Protocol):
    async def identify(self, token: str) -> Identity | None:
        """None when nobody vouches for it. Raises IdentityUnavailable when that is unknown."""
        ...


class Identities(Source, Protocol):
    def known(self, token: str) -> Identity | None:
        """Who vouches for it as far as that needs no asking; None says nothing."""
        ...


class StaticIdentities:
    """A JSON file: `{"<token>": {"role": "operator"} | {"role": "broker", "devbox_uid": …}}`.

    Read again when it changed, so that a local run can add devboxes as it goes.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._stamp = 0
        self._known: Mapping[str, Identity] = {}

    async def identify(self, token: str) -> Identity | None:
        return self.known(token)

    def known(self, token: str) -> Identity | None:
        if self._path is not None and (stamp := self._path.stat().st_mtime_ns) != self._stamp:
            self._known = read_identities(self._path)
            self._stamp = stamp
        return self._known.get(token)


class CachedIdentities:
    """Asks the slow source once in a while per token. Keeps digests, never the tokens."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._cache: dict[bytes, tuple[Identity, float]] = {}

    def known(self, token: str) -> Identity | None:
        kept = self._cache.get(_digest(token))
        return kept[0] if kept is not None and _now() < kept[1] else None

    async def identify(self, token: str) -> Identity | None:
        if (known := self.known(token)) is not None:
            return known
        digest, now = _digest(token), _now()
        identity = await self._source.identify(token)
        self._cache.pop(digest, None)
        if identity is not None:
            while len(self._cache) >= CACHE_TOKENS_MAX:
                del self._cache[next(iter(self._cache))]
            self._cache[digest] = identity, now + CACHE_SECONDS
        return identity


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _now() -> float:
    return asyncio.get_running_loop().time()


def read_identities(path: Path) -> dict[str, Identity]:
    try:
        return {token: _identity(entry) for token, entry in json.loads(path.read_text()).items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise BadInput(f"{path} is no file of identities: {error!r}") from error


def _identity(entry: Mapping[str, Any]) -> Identity:
    if entry["role"] == "operator":
        return Operator()
    if entry["role"] == "broker":
        return Broker(str(entry["devbox_uid"]))
    raise ValueError(f"unknown role {entry['role']!r}")
