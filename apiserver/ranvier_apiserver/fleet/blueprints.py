"""Blueprints as the REST API asks for them: Blueprint resources of the namespace where devboxes are
made, for a devbox can name no others."""

import secrets
from typing import Final

from pydantic import ValidationError
from ranvier.resources import Blueprint

from ranvier_apiserver.errors import NameTaken, NotFound
from ranvier_apiserver.fleet.paging import Ask, Row, page_of
from ranvier_apiserver.kube.cache import Cache
from ranvier_apiserver.kube.objects import BLUEPRINTS, Objects
from ranvier_apiserver.runloop import blueprints
from ranvier_apiserver.runloop.manifest import Place
from ranvier_apiserver.runloop.naming import (
    BLUEPRINT_ID_PREFIX,
    REQUEST_ANNOTATION,
    object_name,
    plain_name,
    uid_of,
)
from ranvier_apiserver.runloop.params import CreateBlueprint

LIST_LINK: Final = "GET /v1/blueprints lists them."


class Blueprints:
    def __init__(self, objects: Objects, cache: Cache, namespace: str) -> None:
        self._objects = objects
        self._cache = cache
        self._namespace = namespace

    async def create(self, params: CreateBlueprint, once: bytes | None) -> Row:
        """Under the name itself where it is free, so that manifests can use it; names may repeat
        and the newest counts, so else under one that begins like it."""
        seed = once or secrets.token_bytes(16)
        request = once.hex() if once else ""
        candidates = [plain_name(params.name), object_name(params.name, seed, "blueprint")]
        for name in filter(None, candidates):
            place = Place(self._namespace, name, request)
            body = blueprints.blueprint(params, place)
            try:
                made = await self._objects.create(BLUEPRINTS, body)
            except NameTaken:
                known = await self._objects.get(BLUEPRINTS, place.namespace, place.name)
                annotations = (known or {}).get("metadata", {}).get("annotations") or {}
                if known is None or not request or annotations.get(REQUEST_ANNOTATION) != request:
                    continue
                made = known
            self._cache.put(made)
            return blueprints.view(Blueprint.read(made))
        raise NameTaken(f"A Blueprint {params.name} exists already; send the request again.")

    def retrieve(self, identifier: str) -> Row:
        return blueprints.view(self._blueprint(identifier))

    def page(self, ask: Ask, name: str | None, status: str | None) -> Row:
        found = [
            each
            for each in self._here()
            if (name is None or blueprints.goes_by(each, name))
            and (status is None or blueprints.status_of(each) == status)
        ]
        shown, rest = page_of(found, ask, lambda each: BLUEPRINT_ID_PREFIX + each.metadata.uid)
        return {"blueprints": [blueprints.view(each) for each in shown], **rest}

    async def delete(self, identifier: str) -> None:
        """Running devboxes go on; they start again only when the blueprint is back."""
        metadata = self._blueprint(identifier).metadata
        await self._objects.delete(BLUEPRINTS, metadata.namespace, metadata.name, metadata.uid)
        self._cache.drop(metadata.uid)

    # --- for devboxes

    def object_name(self, identifier: str) -> str:
        return self._blueprint(identifier).metadata.name

    def newest(self, name: str) -> str:
        """The object's name of the newest blueprint that goes by this one."""
        for found in self._here():
            if blueprints.goes_by(found, name):
                return found.metadata.name
        raise NotFound(
            f"There is no blueprint {name!r} in namespace {self._namespace}. {LIST_LINK}"
        )

    def uid_of(self, namespace: str, name: str) -> str | None:
        for body in self._cache.all():
            metadata = body["metadata"]
            if (metadata["namespace"], metadata["name"]) == (namespace, name):
                return str(metadata["uid"])
        return None

    # --- inside

    def _here(self) -> list[Blueprint]:
        found = []
        for body in self._cache.all():
            if body["metadata"]["namespace"] == self._namespace:
                try:
                    found.append(Blueprint.read(body))
                except ValidationError:
                    continue
        return found

    def _blueprint(self, identifier: str) -> Blueprint:
        uid = uid_of(BLUEPRINT_ID_PREFIX, identifier)
        for found in self._here():
            if found.metadata.uid == uid:
                return found
        raise NotFound(f"There is no blueprint {identifier!r}. {LIST_LINK}")
