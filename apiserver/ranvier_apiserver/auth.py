"""Who is calling, and what that caller may do.

People and their programs hold API keys with scopes. The operator and the brokers hold tokens that
somebody else vouches for (`identities.py`). Keys are kept as digests only: they are random and
long, so a plain SHA-256 can not be turned back.
"""

import hashlib
import hmac
from collections.abc import ItemsView, Mapping, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol

from ranvier_apiserver import audit
from ranvier_apiserver.errors import BadInput, Forbidden, Unauthenticated
from ranvier_apiserver.identities import Broker, Identities, Operator

KEY_CHARACTERS_MIN: Final = 16
"""Shorter keys could be guessed; `openssl rand -hex 32` makes a good one."""

TOKEN_CHARACTERS_MAX: Final = 8192
"""ServiceAccount tokens have about 1,000 characters."""

HASHED_PREFIX: Final = "sha256:"


class Scope(StrEnum):
    AXONS_READ = "axons:read"
    AXONS_WRITE = "axons:write"
    AXONS_PUBLISH = "axons:publish"
    """Publishing events and nothing else, as a webhook needs it; axons:write can do it too."""
    AXONS_IMPORT = "axons:import"
    """With axons:write: events of any origin, as an export has them."""
    DEVBOXES_READ = "devboxes:read"
    DEVBOXES_WRITE = "devboxes:write"


NONE: Final[frozenset[Scope]] = frozenset()
IMPLIED_BY: Final[Mapping[Scope, frozenset[Scope]]] = {
    Scope.AXONS_PUBLISH: frozenset({Scope.AXONS_WRITE})
}


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A person or program. `key_id` names the key without giving it away."""

    key_id: str
    scopes: frozenset[Scope]


Principal = ApiKey | Operator | Broker


class Keys(Protocol):
    """API keys by the SHA-256 of their text: a mapping, or a file that may change."""

    def items(self) -> ItemsView[bytes, ApiKey]: ...


class Authenticator:
    def __init__(self, keys: Keys, identities: Identities) -> None:
        self._keys = keys
        self._identities = identities

    async def principal(self, scope: MutableMapping[str, Any]) -> Principal:
        """The caller of an ASGI request, by its bearer token; noted for the audit trail."""
        principal = await self._known(bearer(scope))
        audit.note(scope, who=name_of(principal))
        return principal

    def known(self, scope: MutableMapping[str, Any]) -> Principal | None:
        """The caller, when nobody has to be asked who it is."""
        try:
            token = bearer(scope)
        except Unauthenticated:
            return None
        principal = self._key(token) or self._identities.known(token)
        if principal is not None:
            audit.note(scope, who=name_of(principal))
        return principal

    def _key(self, token: str) -> ApiKey | None:
        digest = hashlib.sha256(token.encode()).digest()
        for known, key in self._keys.items():
            if hmac.compare_digest(known, digest):
                return key
        return None

    async def _known(self, token: str) -> Principal:
        if (key := self._key(token)) is not None:
            return key
        if (identity := await self._identities.identify(token)) is not None:
            return identity
        raise Unauthenticated("This API key or token is not known here.")


def name_of(principal: Principal) -> str:
    """What logs call a caller; it gives no secret away."""
    match principal:
        case ApiKey():
            return f"key {principal.key_id}"
        case Broker():
            return f"broker {principal.devbox_uid}"
        case Operator():
            return "operator"


def require(principal: Principal, scope: Scope) -> ApiKey:
    if not isinstance(principal, ApiKey):
        raise Forbidden("This route takes an API key, not a ServiceAccount's token.")
    if scope not in principal.scopes and not (principal.scopes & IMPLIED_BY.get(scope, NONE)):
        raise Forbidden(f"This API key lacks the scope {scope}.")
    return principal


def require_operator(principal: Principal) -> None:
    if not isinstance(principal, Operator):
        raise Forbidden("Only the operator may call this.")


def require_broker(principal: Principal, devbox_uid: str) -> Broker:
    if not isinstance(principal, Broker) or principal.devbox_uid != devbox_uid:
        raise Forbidden(f"Only the broker of devbox {devbox_uid!r} may call this.")
    return principal


def read_keys(path: Path) -> dict[bytes, ApiKey]:
    """Keys from a file: one a line, then optional scopes; `#` begins a comment line.

    A line may hold `sha256:<hex>` in place of the key. Without scopes a key may do everything.
    """
    keys = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            digest, key = _parse_key(line)
        except ValueError as error:
            raise BadInput(f"{path}, line {number}: {error}") from error
        keys[digest] = key
    return keys


def _parse_key(line: str) -> tuple[bytes, ApiKey]:
    text, _, scopes = line.strip().partition(" ")
    if text.startswith(HASHED_PREFIX):
        digest = bytes.fromhex(text.removeprefix(HASHED_PREFIX))
        if len(digest) != hashlib.sha256().digest_size:
            raise ValueError("a SHA-256 digest has 64 hexadecimal digits")
    elif len(text) < KEY_CHARACTERS_MIN:
        raise ValueError(f"an API key has at least {KEY_CHARACTERS_MIN} characters")
    else:
        digest = hashlib.sha256(text.encode()).digest()
    named = frozenset(Scope(word.strip()) for word in scopes.split(",") if word.strip())
    return digest, ApiKey(digest.hex()[:16], named or frozenset(Scope))


def bearer(scope: Mapping[str, Any]) -> str:
    """The token of a request. Raises Unauthenticated."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            text: str = value.decode("latin-1")
            scheme, _, token = text.partition(" ")
            if scheme.lower() == "bearer" and 0 < len(token.strip()) <= TOKEN_CHARACTERS_MAX:
                return token.strip()
    raise Unauthenticated("Send 'Authorization: Bearer <API key>'.")
