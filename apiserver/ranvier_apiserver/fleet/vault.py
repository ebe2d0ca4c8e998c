"""Secrets as the REST API asks for them: Kubernetes Secrets of the namespace where devboxes are
made. Values go in and never come out; the API server keeps none in memory."""

import contextlib
from collections.abc import Iterable, Mapping

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import NameTaken, NotFound
from ranvier_apiserver.fleet.paging import Row
from ranvier_apiserver.kube.objects import SECRET_LABEL, SECRETS, Objects, RawObject
from ranvier_apiserver.runloop import secrets
from ranvier_apiserver.runloop.manifest import Place
from ranvier_apiserver.runloop.naming import (
    REQUEST_ANNOTATION,
    SECRET_ID_PREFIX,
    secret_object_name,
    uid_of,
)


class Vault:
    def __init__(self, objects: Objects, namespace: str, clock: Clock) -> None:
        self._objects = objects
        self._namespace = namespace
        self._clock = clock

    async def create(self, name: str, value: str, once: bytes | None) -> Row:
        request = once.hex() if once else ""
        place = Place(self._namespace, secret_object_name(name), request)
        try:
            body = secrets.secret(name, value, place, self._clock())
            return secrets.view(await self._objects.create(SECRETS, body))
        except NameTaken:
            known = await self._objects.get(SECRETS, place.namespace, place.name)
            annotations = (known or {}).get("metadata", {}).get("annotations") or {}
            if known is None or not request or annotations.get(REQUEST_ANNOTATION) != request:
                raise NameTaken(
                    f"A secret {name!r} exists; POST /v1/secrets/{name} gives it a new value."
                ) from None
            return secrets.view(known)

    async def retrieve(self, name: str) -> Row:
        return secrets.view(await self._by_name(name))

    async def retrieve_by_id(self, identifier: str) -> Row:
        return secrets.view(await self._by_id(identifier))

    async def page(self, limit: int) -> Row:
        found = await self._all()
        found.sort(key=lambda body: body["metadata"]["creationTimestamp"], reverse=True)
        return {
            "secrets": [secrets.view(body) for body in found[:limit]],
            "has_more": limit < len(found),
            "total_count": len(found),
        }

    async def update(self, name: str, value: str) -> Row:
        return await self._update(await self._by_name(name), value)

    async def update_by_id(self, identifier: str, value: str) -> Row:
        return await self._update(await self._by_id(identifier), value)

    async def delete(self, name: str) -> Row:
        return await self._delete(await self._by_name(name))

    async def delete_by_id(self, identifier: str) -> Row:
        return await self._delete(await self._by_id(identifier))

    async def objects_of(self, names: Iterable[str]) -> dict[str, str]:
        """The names of the Secrets that hold these; all must exist."""
        return {name: (await self._by_name(name))["metadata"]["name"] for name in set(names)}

    async def hold_tokens(self, values: Mapping[str, str], place: Place) -> None:
        """A Secret for one devbox. The same request again finds the one that it made (J4)."""
        with contextlib.suppress(NameTaken):
            await self._objects.create(SECRETS, secrets.tokens(values, place))

    async def give_tokens(self, devbox: RawObject, place: Place) -> None:
        """From now on it goes with its devbox."""
        await self._objects.patch(SECRETS, place.namespace, place.tokens, secrets.owned(devbox))

    async def drop_tokens(self, place: Place) -> None:
        """The devbox could not be made."""
        held = await self._objects.get(SECRETS, place.namespace, place.tokens)
        if held is not None:
            uid = held["metadata"]["uid"]
            await self._objects.delete(SECRETS, place.namespace, place.tokens, uid)

    # --- inside

    async def _all(self) -> list[RawObject]:
        return (await self._objects.list(SECRETS, self._namespace)).items

    async def _by_name(self, name: str) -> RawObject:
        body = await self._objects.get(SECRETS, self._namespace, secret_object_name(name))
        if body is None or SECRET_LABEL not in (body["metadata"].get("labels") or {}):
            raise _missing(name)
        return body

    async def _by_id(self, identifier: str) -> RawObject:
        uid = uid_of(SECRET_ID_PREFIX, identifier)
        for body in await self._all():
            if body["metadata"]["uid"] == uid:
                return body
        raise _missing(identifier)

    async def _update(self, body: RawObject, value: str) -> Row:
        metadata = body["metadata"]
        patch = secrets.update(value, metadata["uid"], self._clock())
        changed = await self._objects.patch(SECRETS, metadata["namespace"], metadata["name"], patch)
        if changed is None:
            raise _missing(metadata["name"])
        return secrets.view(changed)

    async def _delete(self, body: RawObject) -> Row:
        metadata = body["metadata"]
        await self._objects.delete(
            SECRETS, metadata["namespace"], metadata["name"], metadata["uid"]
        )
        return secrets.view(body)


def _missing(name: str) -> NotFound:
    return NotFound(f"There is no secret {name!r}. GET /v1/secrets lists them.")
