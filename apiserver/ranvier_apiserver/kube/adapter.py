"""Kubernetes objects over the API server's own HTTP, through the one module that has its client."""

import asyncio
import contextlib
import json
import threading
from typing import Any, Final

from ranvier_apiserver.cluster import ClusterApi
from ranvier_apiserver.errors import (
    ClusterRefused,
    ClusterUnavailable,
    NameTaken,
    RanvierError,
)
from ranvier_apiserver.kube.objects import Heard, Listing, ObjectKind, RawObject, WatchEnded

LIST_PAGE: Final = 500
"""Objects in one page of a list, as kubectl asks for."""
WATCH_SECONDS: Final = 60
"""A watch is begun anew this often, so a connection that died in silence is missed no longer."""
SILENCE_SECONDS: Final = WATCH_SECONDS + 15.0
FIELD_MANAGER: Final = "ranvier-apiserver"
MERGE_PATCH: Final = "application/merge-patch+json"

_GONE: Final = 410
_FOR_GOOD: Final = frozenset({400, 403, 404, 413, 422})
"""Answers to a write that asking again does not change: invalid, forbidden by a quota or policy,
no such namespace."""


class KubernetesObjects:
    """The real one."""

    def __init__(self, cluster: ClusterApi) -> None:
        self._cluster = cluster

    async def list(self, kind: ObjectKind, namespace: str | None) -> Listing:
        items: list[RawObject] = []
        query = {"limit": str(LIST_PAGE), "labelSelector": kind.selector}
        while True:
            status, data = await self._cluster.send("GET", kind.path(namespace), _set(query))
            if status >= 300:
                raise ClusterUnavailable(f"{kind.plural} can not be listed: {_message(data)}")
            page = json.loads(data)
            items += page["items"]
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return Listing(items, page["metadata"].get("resourceVersion", ""))

    async def watch(
        self, kind: ObjectKind, namespace: str | None, version: str, heard: Heard
    ) -> str:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": kind.selector,
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        watch = _Watch(self._cluster, kind.path(namespace), _set(query), heard)
        return await watch.run(version)

    async def get(self, kind: ObjectKind, namespace: str, name: str) -> RawObject | None:
        status, data = await self._cluster.send("GET", kind.path(namespace, name), {})
        return _answer(status, data)

    async def create(self, kind: ObjectKind, body: RawObject) -> RawObject:
        path = kind.path(body["metadata"]["namespace"])
        status, data = await self._cluster.send("POST", path, _manager(), body)
        if status == 404:
            raise ClusterRefused(_message(data))
        made = _answer(status, data)
        if made is None:
            raise ClusterUnavailable(f"{kind.name} was not made: {_message(data)}")
        return made

    async def patch(
        self, kind: ObjectKind, namespace: str, name: str, patch: RawObject, part: str = ""
    ) -> RawObject | None:
        path = kind.path(namespace, name) + (f"/{part}" if part else "")
        status, data = await self._cluster.send("PATCH", path, _manager(), patch, MERGE_PATCH)
        return _answer(status, data)

    async def delete(self, kind: ObjectKind, namespace: str, name: str, uid: str) -> bool:
        options = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        status, data = await self._cluster.send("DELETE", kind.path(namespace, name), {}, options)
        if status == 409:
            return False
        return _answer(status, data) is not None


class _Watch:
    """One watch on a thread of its own, whose lines are heard in the event loop."""

    def __init__(self, cluster: ClusterApi, path: str, query: dict[str, str], heard: Heard) -> None:
        self._cluster = cluster
        self._path = path
        self._query = query
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._is_left = False

    async def run(self, version: str) -> str:
        threading.Thread(target=self._follow, args=(version,), daemon=True).start()
        try:
            return await self._ended
        finally:
            # The thread notices with its next line, at the latest when the watch's time is over.
            self._is_left = True

    def _follow(self, version: str) -> None:
        try:
            for line in self._cluster.lines(self._path, self._query, SILENCE_SECONDS):
                if self._is_left:
                    return
                event = json.loads(line)
                body = event["object"]
                if event["type"] == "ERROR":
                    raise _watch_error(body)
                version = body["metadata"].get("resourceVersion", version)
                if event["type"] != "BOOKMARK":
                    self._tell(self._heard, event["type"], body)
        except (RanvierError, WatchEnded) as error:
            self._tell(self._fail, error)
        except (ValueError, KeyError) as error:
            self._tell(self._fail, ClusterUnavailable(f"GET {self._path}: {error!r}."))
        else:
            self._tell(self._end, version)

    def _tell(self, function: Any, *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(function, *arguments)

    def _end(self, version: str) -> None:
        if not self._ended.done():
            self._ended.set_result(version)

    def _fail(self, error: Exception) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)


def _watch_error(status: RawObject) -> Exception:
    if status.get("code") == _GONE:
        return WatchEnded(status.get("message", ""))
    return ClusterUnavailable(f"A watch failed: {status.get('message', '')}.")


def _answer(status: int, data: bytes) -> RawObject | None:
    if status < 300:
        found: RawObject = json.loads(data)
        return found
    if status == 404:
        return None
    message = _message(data)
    if status == 409 and _reason(data) == "AlreadyExists":
        raise NameTaken(message)
    if status in _FOR_GOOD:
        raise ClusterRefused(message)
    raise ClusterUnavailable(f"Kubernetes answered with {status}: {message}")


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])
    except (ValueError, KeyError, TypeError):
        return data[:200].decode(errors="replace")


def _reason(data: bytes) -> str:
    try:
        return str(json.loads(data).get("reason", ""))
    except (ValueError, AttributeError):
        return ""


def _set(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if value}


def _manager() -> dict[str, str]:
    return {"fieldManager": FIELD_MANAGER}
