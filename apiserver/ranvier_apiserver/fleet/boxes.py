"""Devboxes as the REST API asks for them: made, found, waited for, put to sleep, woken, ended.

Every Devbox resource is seen, whoever made it; new ones are made in one namespace. What sleeps and
what wakes is decided by the journal, in a transaction (W3); the resource's `status.request` then
tells the operator, which acts at once instead of at its next resync. A process that dies between
the two has lost nothing: the journal's word stands.
"""

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from ranvier.events import devbox_id
from ranvier.internal import HomeReport, SleepReason, SleepRequest
from ranvier.resources import Devbox, OperatingMode, Operation

from ranvier_apiserver.clock import Clock
from ranvier_apiserver.errors import (
    ClusterRefused,
    DevboxNotFound,
    InvalidField,
    NameTaken,
    NotFound,
    WaitExpired,
    WrongState,
)
from ranvier_apiserver.fleet.blueprints import Blueprints
from ranvier_apiserver.fleet.paging import Ask, Row, page_of
from ranvier_apiserver.fleet.vault import Vault
from ranvier_apiserver.journal.store import Store
from ranvier_apiserver.kube.cache import Cache
from ranvier_apiserver.kube.objects import DEVBOXES, Objects, RawObject
from ranvier_apiserver.runloop import manifest, mounts, view
from ranvier_apiserver.runloop.manifest import Place, Source
from ranvier_apiserver.runloop.naming import (
    DEVBOX_ID_PREFIX,
    REQUEST_ANNOTATION,
    is_uid,
    object_name,
    uid_of,
)
from ranvier_apiserver.runloop.params import CreateDevbox, UpdateDevbox
from ranvier_apiserver.runloop.status import Status, standing

TICK_SECONDS: Final = 1.0
"""A status can change by time alone (a start that fails for too long), so a wait looks again."""
ASKS_MAX: Final = 2
"""The journal may be one generation ahead of what was seen of a devbox; it says so."""
LATE_SECONDS: Final = 1.0
"""A watch tells of a new object within milliseconds; a loaded one within this."""
CAUSE: Final = "a suspend was requested through the REST API"


@dataclass(frozen=True, slots=True)
class Options:
    """Where devboxes are made, and from which image when a call names no blueprint."""

    namespace: str
    default_image: str = ""


class Boxes:
    def __init__(
        self,
        objects: Objects,
        cache: Cache,
        store: Store,
        blueprints: Blueprints,
        vault: Vault,
        options: Options,
        clock: Clock,
    ) -> None:
        self._objects = objects
        self._cache = cache
        self._store = store
        self._blueprints = blueprints
        self._vault = vault
        self._options = options
        self._clock = clock

    # --- made and found

    async def create(self, params: CreateDevbox, once: bytes | None) -> Row:
        """A new devbox. The same request again finds the one that it made (J4)."""
        manifest.check(params)
        for axon_id in mounts.axon_ids(params):
            axon = await self._store.axon(axon_id)
            if axon.deleted_at_ms is not None:
                raise NotFound(f"Axon {axon_id!r} was deleted; create a new one.")
        source = self._source(params)
        names = await self._vault.objects_of((params.secrets or {}).values())
        seed = once or secrets.token_bytes(16)
        name = object_name(params.name, seed, "devbox")
        place = Place(self._options.namespace, name, once.hex() if once else "")
        body = manifest.devbox(params, place, source, names)
        made = await self._with_tokens(mounts.tokens(params), place, body)
        self._cache.put(made)
        return self._view(view.read(made))

    async def retrieve(self, identifier: str) -> Row:
        return self._view(await self._devbox(identifier))

    def page(self, ask: Ask, status: Status | None) -> Row:
        now = self._now()
        found = [view.read(body) for body in self._cache.all()]
        if status is not None:
            found = [box for box in found if standing(box, now).status is status]
        shown, rest = page_of(found, ask, lambda box: devbox_id(box.metadata.uid))
        return {"devboxes": [self._view(box) for box in shown], **rest}

    async def update(self, identifier: str, params: UpdateDevbox) -> Row:
        devbox = await self._devbox(identifier)
        patch = manifest.update(params, devbox.spec.metadata)
        return self._view(await self._patch(devbox, patch))

    async def wait(self, identifier: str, wanted: frozenset[Status], seconds: float) -> Row:
        """The devbox as soon as it is in one of these states. Looking is no activity (W7)."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while True:
            devbox = await self._devbox(identifier)
            if standing(devbox, self._now()).status in wanted:
                return self._view(devbox)
            left = deadline - loop.time()
            if left <= 0:
                words = ", ".join(sorted(wanted))
                raise WaitExpired(f"Devbox {identifier} is not yet {words}; ask again.")
            await self._cache.changed(devbox.metadata.uid, min(left, TICK_SECONDS))

    async def settled(self, identifier: str, wanted: frozenset[Status], seconds: float) -> Row:
        """The same, but after the time is over the devbox as it is then."""
        try:
            return await self.wait(identifier, wanted, seconds)
        except WaitExpired:
            return await self.retrieve(identifier)

    # --- asked to sleep, to wake, to end

    async def suspend(self, identifier: str, once: bytes | None) -> Row:
        """Closed at once, whatever runs; the next event wakes it."""
        devbox = await self._devbox(identifier)
        if _is_repeated(devbox, once):
            return self._view(devbox)
        self._require(devbox, {Status.RUNNING}, "suspended")
        uid, generation = devbox.metadata.uid, devbox.status.sleep_generation or 1
        for _ in range(ASKS_MAX):
            request = SleepRequest(generation=generation, idle_seconds=0, force=True, cause=CAUSE)
            answer = await self._journal(devbox, self._store.sleep(uid, request))
            if answer.reason is not SleepReason.ALREADY_ASLEEP:
                break
            generation = answer.generation
        return await self._request(devbox, Operation.SUSPEND, answer.generation, once)

    async def resume(self, identifier: str, once: bytes | None) -> Row:
        devbox = await self._devbox(identifier)
        if _is_repeated(devbox, once):
            return self._view(devbox)
        if devbox.spec.operating_mode is OperatingMode.SUSPENDED:
            raise WrongState(
                f"Devbox {identifier} is held by its owner; set spec.operatingMode: Running on "
                f"{devbox.metadata.namespace}/{devbox.metadata.name}."
            )
        self._require(devbox, {Status.SUSPENDED, Status.SUSPENDING}, "resumed")
        known = await self._journal(devbox, self._store.resume(devbox.metadata.uid))
        return await self._request(devbox, Operation.RESUME, known.generation, once)

    async def shutdown(self, identifier: str, once: bytes | None) -> Row:
        """From every state, and as often as it is asked."""
        devbox = await self._devbox(identifier)
        if standing(devbox, self._now()).status is Status.SHUTDOWN:
            return self._view(devbox)
        return await self._request(devbox, Operation.SHUTDOWN, 0, once)

    async def keep_alive(self, identifier: str) -> None:
        devbox = await self._devbox(identifier)
        awake = {Status.RUNNING, Status.PROVISIONING, Status.INITIALIZING}
        self._require(devbox, awake, "kept alive")
        await self._journal(devbox, self._store.keep_alive(devbox.metadata.uid))
        lifecycle = devbox.spec.lifecycle
        if lifecycle.keep_alive_seconds is not None and lifecycle.after_idle is None:
            status = {"keepAliveTime": _text(self._now())}
            await self._patch(devbox, {"status": status}, "status")

    async def tell_home(self, uid: str, report: HomeReport) -> None:
        """What its sidecar found; the operator makes a condition of it."""
        devbox = await self._devbox(DEVBOX_ID_PREFIX + uid)
        if not report.full and devbox.status.home_full is None:
            return
        size = f"{report.size_bytes // 1024**2} MiB"
        told = {"generation": report.generation, "size": size, "time": _text(self._now())}
        status = {"homeFull": told if report.full else None}
        await self._patch(devbox, {"status": status}, "status")

    # --- inside

    async def _devbox(self, identifier: str) -> Devbox:
        uid = uid_of(DEVBOX_ID_PREFIX, identifier)
        body = self._cache.get(uid)
        if body is None and is_uid(uid):
            # Another API server may have made it just now.
            await self._cache.changed(uid, LATE_SECONDS)
            body = self._cache.get(uid)
        if body is None:
            raise NotFound(f"There is no devbox {identifier!r}. GET /v1/devboxes lists them.")
        return view.read(body)

    def _view(self, devbox: Devbox) -> Row:
        here, name = devbox.metadata.namespace, devbox.spec.blueprint_name
        uid = self._blueprints.uid_of(here, name) if name else None
        return view.devbox_view(devbox, uid, self._now())

    def _source(self, params: CreateDevbox) -> Source:
        if params.blueprint_id is not None:
            return Source(blueprint=self._blueprints.object_name(params.blueprint_id))
        if params.blueprint_name is not None:
            return Source(blueprint=self._blueprints.newest(params.blueprint_name))
        if self._options.default_image:
            return Source(image=self._options.default_image)
        raise InvalidField(
            "blueprint_name: name a blueprint (GET /v1/blueprints lists them); this installation "
            "has no default image."
        )

    async def _with_tokens(
        self, tokens: Mapping[str, str], place: Place, body: RawObject
    ) -> RawObject:
        """The devbox; the tokens of its code mounts are there before it, and go with it."""
        if not tokens:
            return await self._made(place, body)
        await self._vault.hold_tokens(tokens, place)
        try:
            made = await self._made(place, body)
        except ClusterRefused:
            await self._vault.drop_tokens(place)
            raise
        await self._vault.give_tokens(made, place)
        return made

    async def _made(self, place: Place, body: RawObject) -> RawObject:
        try:
            return await self._objects.create(DEVBOXES, body)
        except NameTaken:
            return await self._made_before(place)

    async def _made_before(self, place: Place) -> RawObject:
        made = await self._objects.get(DEVBOXES, place.namespace, place.name)
        annotations = (made or {}).get("metadata", {}).get("annotations") or {}
        if made is None or annotations.get(REQUEST_ANNOTATION) != place.request:
            raise NameTaken(f"A Devbox {place.name} exists already; send the request again.")
        return made

    def _require(self, devbox: Devbox, states: set[Status], what: str) -> None:
        status = standing(devbox, self._now()).status
        if status not in states:
            words = " or ".join(sorted(states))
            raise WrongState(
                f"Devbox {devbox_id(devbox.metadata.uid)} is {status}; only one that is {words} "
                f"can be {what}."
            )

    async def _journal(self, devbox: Devbox, asked: Any) -> Any:
        try:
            return await asked
        except DevboxNotFound:
            raise WrongState(
                f"Devbox {devbox_id(devbox.metadata.uid)} has not been started yet; its conditions "
                "say what it waits for."
            ) from None

    async def _request(
        self, devbox: Devbox, operation: Operation, generation: int, once: bytes | None
    ) -> Row:
        """Tell the operator, which watches."""
        request = {
            "operation": operation.value,
            "generation": generation,
            "time": _text(self._now()),
            "id": once.hex() if once else "",
        }
        return self._view(await self._patch(devbox, {"status": {"request": request}}, "status"))

    async def _patch(self, devbox: Devbox, patch: RawObject, part: str = "") -> Devbox:
        metadata = devbox.metadata
        body = await self._objects.patch(DEVBOXES, metadata.namespace, metadata.name, patch, part)
        if body is None or body["metadata"]["uid"] != metadata.uid:
            self._cache.drop(metadata.uid)
            raise NotFound(f"Devbox {devbox_id(metadata.uid)} was deleted.")
        self._cache.put(body)
        return view.read(body)

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock() / 1000, UTC)


def _is_repeated(devbox: Devbox, once: bytes | None) -> bool:
    """This very request was carried out before; its answer was lost on the way."""
    asked = devbox.status.request
    return asked is not None and once is not None and asked.id == once.hex()


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
