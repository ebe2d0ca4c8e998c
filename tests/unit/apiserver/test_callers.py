"""Who calls, and what they may do: keys with scopes, the operator, brokers (DESIGN section 9)."""

import hashlib
import json
import os
from pathlib import Path

import pytest
from ranvier_apiserver import auth, identities
from ranvier_apiserver.auth import ApiKey, Authenticator, Scope
from ranvier_apiserver.errors import BadInput, Forbidden, Unauthenticated
from ranvier_apiserver.identities import (
    Broker,
    CachedIdentities,
    Identity,
    Operator,
    StaticIdentities,
)
from ranvier_apiserver.key_file import LOOK_SECONDS, KeyFile

KEY = "0123456789abcdef0123456789abcdef"


class Known:
    def __init__(self, **tokens: Identity) -> None:
        self.tokens = tokens
        self.asked = 0

    async def identify(self, token: str) -> Identity | None:
        self.asked += 1
        return self.tokens.get(token)


def bearer(token: str) -> dict[str, object]:
    return {"headers": [(b"host", b"x"), (b"authorization", f"Bearer {token}".encode())]}


def keys(tmp_path: Path, text: str) -> dict[bytes, ApiKey]:
    path = tmp_path / "keys"
    path.write_text(text)
    return auth.read_keys(path)


async def test_a_key_is_known_by_its_digest(tmp_path: Path) -> None:
    known = keys(tmp_path, f"# people\n\n{KEY} axons:read, axons:write\n")
    assert KEY not in repr(known)
    caller = await Authenticator(known, Known()).principal(bearer(KEY))
    assert isinstance(caller, ApiKey)
    assert caller.scopes == {Scope.AXONS_READ, Scope.AXONS_WRITE}


def test_a_key_without_scopes_may_do_everything(tmp_path: Path) -> None:
    (key,) = keys(tmp_path, KEY).values()
    assert key.scopes == set(Scope)


def test_a_file_may_hold_digests_alone(tmp_path: Path) -> None:
    digest = hashlib.sha256(KEY.encode())
    assert keys(tmp_path, f"sha256:{digest.hexdigest()} axons:read").keys() == {digest.digest()}


@pytest.mark.parametrize("line", ["short", "sha256:12", "sha256:zz", f"{KEY} axons:fly"])
def test_a_wrong_line_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BadInput, match="line 2"):
        keys(tmp_path, f"{KEY}\n{line}\n")


def test_a_key_for_publishing_can_do_nothing_else(tmp_path: Path) -> None:
    (key,) = keys(tmp_path, f"{KEY} axons:publish").values()
    assert auth.require(key, Scope.AXONS_PUBLISH) is key
    for scope in set(Scope) - {Scope.AXONS_PUBLISH}:
        with pytest.raises(Forbidden, match=scope):
            auth.require(key, scope)
    writer = ApiKey("k", frozenset({Scope.AXONS_WRITE}))
    assert auth.require(writer, Scope.AXONS_PUBLISH) is writer


async def test_a_key_is_revoked_without_a_restart(tmp_path: Path) -> None:
    path, now = tmp_path / "keys", 0.0
    path.write_text(f"{KEY}\n")
    caller = Authenticator(KeyFile(path, lambda: now), Known())
    assert isinstance(await caller.principal(bearer(KEY)), ApiKey)

    def change(text: str) -> None:
        nonlocal now
        now += LOOK_SECONDS
        path.write_text(text)
        os.utime(path, ns=(0, int(now) * 10**9))

    change(f"{KEY}\nshort\n")
    assert isinstance(await caller.principal(bearer(KEY)), ApiKey), "a wrong file changes nothing"
    change(f"{KEY[::-1]} axons:read\n")
    with pytest.raises(Unauthenticated):
        await caller.principal(bearer(KEY))
    assert isinstance(await caller.principal(bearer(KEY[::-1])), ApiKey)


async def test_tokens_that_are_no_keys_are_asked_about() -> None:
    authenticator = Authenticator({}, Known(op=Operator(), br=Broker("u")))
    assert await authenticator.principal(bearer("op")) == Operator()
    assert await authenticator.principal(bearer("br")) == Broker("u")


@pytest.mark.parametrize(
    "headers",
    [[], [(b"authorization", b"Basic eA==")], [(b"authorization", b"Bearer")], "unknown"],
)
async def test_without_a_known_token_there_is_no_caller(headers: object) -> None:
    scope = bearer("unknown") if headers == "unknown" else {"headers": headers}
    with pytest.raises(Unauthenticated):
        await Authenticator({}, Known()).principal(scope)


def test_each_caller_keeps_to_its_routes() -> None:
    reader = ApiKey("k", frozenset({Scope.AXONS_READ}))
    assert auth.require(reader, Scope.AXONS_READ) is reader
    auth.require_operator(Operator())
    auth.require_broker(Broker("u"), "u")
    for refused in (
        lambda: auth.require(reader, Scope.AXONS_WRITE),
        lambda: auth.require(Operator(), Scope.AXONS_READ),
        lambda: auth.require(Broker("u"), Scope.AXONS_READ),
        lambda: auth.require_operator(reader),
        lambda: auth.require_operator(Broker("u")),
        lambda: auth.require_broker(Broker("u"), "v"),
        lambda: auth.require_broker(Operator(), "u"),
    ):
        with pytest.raises(Forbidden):
            refused()


async def test_static_identities_are_read_again_when_they_change(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    path.write_text(json.dumps({"a": {"role": "operator"}}))
    known = StaticIdentities(path)
    assert await known.identify("a") == Operator()
    path.write_text(json.dumps({"b": {"role": "broker", "devbox_uid": "u"}}))
    os.utime(path, ns=(1, 1))
    assert await known.identify("a") is None
    assert await known.identify("b") == Broker("u")
    path.write_text(json.dumps({"c": {"role": "king"}}))
    os.utime(path, ns=(2, 2))
    with pytest.raises(BadInput, match="no file of identities"):
        await known.identify("c")


async def test_a_reviewed_token_is_remembered_for_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = Known(op=Operator())
    cached = CachedIdentities(source)
    assert [await cached.identify("op") for _ in range(3)] == [Operator()] * 3
    assert source.asked == 1
    assert await cached.identify("unknown") is None
    assert await cached.identify("unknown") is None
    assert source.asked == 3
    monkeypatch.setattr(identities, "CACHE_SECONDS", -1.0)
    await CachedIdentities(source).identify("op")
    again = CachedIdentities(source)
    await again.identify("op")
    await again.identify("op")
    assert source.asked == 6


async def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identities, "CACHE_TOKENS_MAX", 2)
    source = Known(a=Operator(), b=Operator(), c=Operator())
    cached = CachedIdentities(source)
    for token in "abc":
        await cached.identify(token)
    await cached.identify("a")
    assert source.asked == 4
