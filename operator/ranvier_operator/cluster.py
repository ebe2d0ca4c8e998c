"""The Kubernetes API as the operator uses it: eight verbs on JSON objects, and one adapter.

The adapter is the only place that knows the `kubernetes` client. That client blocks, so each call
runs in a thread; right before a write is sent, in that thread, `guard` may refuse it (see
`election`). Errors come out as `errors.ClusterError`. `testing.FakeCluster` stands behind the same
Protocol.

Children are created, never applied: `create` fails where the name is taken, while an apply would
silently take over somebody else's object.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import urllib3
from kubernetes import client, config

from ranvier_operator.election import WRITE_SECONDS_MAX
from ranvier_operator.errors import (
    AlreadyExists,
    ClusterError,
    ClusterUnavailable,
    Conflict,
    NotLeading,
    Refused,
)
from ranvier_operator.kinds import LEASES, Kind, RawObject
from ranvier_operator.naming import FIELD_MANAGER

READ_SECONDS_MAX: Final = 30.0
"""Longest time for a read: a list of ten thousand objects on a busy API server."""
CONNECT_SECONDS_MAX: Final = 2.0
LIST_PAGE: Final = 500
"""Objects in one page of a list, as kubectl asks for."""
MERGE_PATCH: Final = "application/merge-patch+json"

_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_NAMESPACE_ENDS: Final = "NamespaceTerminating"
"""No fault of the request: everything of this namespace is about to go, the devbox too."""
_UNAVAILABLE: Final = frozenset({401, 408, 429, 500, 502, 503, 504})


class Cluster(Protocol):
    """What the operator does to a cluster. Objects are JSON; "not there" is an answer, no error."""

    async def list(self, kind: Kind, namespaces: Sequence[str] = ()) -> Sequence[RawObject]:
        """All objects of these namespaces, or of every one; filtered by the kind's selector."""
        ...

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None: ...

    async def create(self, kind: Kind, body: RawObject) -> RawObject:
        """Raises AlreadyExists where the name is taken, Refused by quota or admission."""
        ...

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, grace_seconds: int | None = None
    ) -> RawObject | None:
        """Ask for the end of exactly this object. The object while it ends; None when it is gone,
        also if another one has taken its name."""
        ...

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        """JSON merge patch; None if it is gone. A `metadata.uid` that differs raises Conflict."""
        ...

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        """JSON merge patch of the status subresource; None if it is gone."""
        ...

    async def get_lease(self, namespace: str, name: str) -> RawObject | None: ...

    async def create_lease(self, body: RawObject) -> RawObject: ...

    async def replace_lease(self, body: RawObject) -> RawObject: ...


class KubernetesCluster:
    """The real one."""

    def __init__(self, api: client.ApiClient, *, threads: int) -> None:
        self._api = api
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="cluster")
        # The election must not wait behind the work that it guards.
        self._lease_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lease")
        self.guard: Callable[[], None] = _nobody_leads

    @classmethod
    def connect(cls, *, threads: int, kubeconfig: str | None = None) -> "KubernetesCluster":
        """With the pod's ServiceAccount; where there is none, with the kubeconfig."""
        configuration = client.Configuration()
        login: Any = config  # its functions carry no types
        try:
            login.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            login.load_kube_config(kubeconfig, client_configuration=configuration)
        configuration.retries = False  # retries are the work queue's
        configuration.connection_pool_maxsize = threads + 1
        return cls(client.ApiClient(configuration), threads=threads)

    async def list(self, kind: Kind, namespaces: Sequence[str] = ()) -> Sequence[RawObject]:
        items: list[RawObject] = []
        for namespace in namespaces or (None,):
            query = {"limit": str(LIST_PAGE), "labelSelector": kind.selector}
            while True:
                page = await self._read(kind.path(namespace), query)
                if page is None:
                    raise ClusterUnavailable(f"{kind.plural} are not served; are the CRDs applied?")
                items += page["items"]
                query["continue"] = page["metadata"].get("continue") or ""
                if not query["continue"]:
                    break
        return items

    async def get(self, kind: Kind, namespace: str, name: str) -> RawObject | None:
        return await self._read(kind.path(namespace, name), {})

    async def create(self, kind: Kind, body: RawObject) -> RawObject:
        path = kind.path(body["metadata"]["namespace"])
        return _present(await self._write("POST", path, body))

    async def delete(
        self, kind: Kind, namespace: str, name: str, *, uid: str, grace_seconds: int | None = None
    ) -> RawObject | None:
        options: RawObject = {"preconditions": {"uid": uid}, "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            answer = await self._write("DELETE", kind.path(namespace, name), options)
        except Conflict:
            return None
        # A Status, or an object whose grace is zero: nothing is left to wait for.
        metadata = (answer or {}).get("metadata", {})
        if metadata.get("uid") != uid or metadata.get("deletionGracePeriodSeconds") == 0:
            return None if not metadata.get("finalizers") else answer
        return answer

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        return await self._write("PATCH", kind.path(namespace, name), patch)

    async def patch_status(
        self, kind: Kind, namespace: str, name: str, patch: RawObject
    ) -> RawObject | None:
        path = kind.path(namespace, name) + "/status"
        return await self._write("PATCH", path, {"status": patch})

    async def get_lease(self, namespace: str, name: str) -> RawObject | None:
        return await self._in(
            self._lease_pool, "GET", LEASES.path(namespace, name), {}, None, WRITE_SECONDS_MAX
        )

    async def create_lease(self, body: RawObject) -> RawObject:
        path = LEASES.path(body["metadata"]["namespace"])
        return await self._write_lease("POST", path, body)

    async def replace_lease(self, body: RawObject) -> RawObject:
        path = LEASES.path(body["metadata"]["namespace"], body["metadata"]["name"])
        return await self._write_lease("PUT", path, body)

    def close(self) -> None:
        """End the threads; what they still send is not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._lease_pool.shutdown(wait=False, cancel_futures=True)

    # --- inside

    async def _read(self, path: str, query: dict[str, str]) -> RawObject | None:
        return await self._in(self._pool, "GET", path, query, None, READ_SECONDS_MAX)

    async def _write(self, method: str, path: str, body: RawObject) -> RawObject | None:
        query = {"timeout": f"{WRITE_SECONDS_MAX}s"}
        if method != "DELETE":
            query["fieldManager"] = FIELD_MANAGER
        return await self._in(self._pool, method, path, query, body, WRITE_SECONDS_MAX, self.guard)

    async def _write_lease(self, method: str, path: str, body: RawObject) -> RawObject:
        query = {"fieldManager": FIELD_MANAGER}
        return _present(
            await self._in(self._lease_pool, method, path, query, body, WRITE_SECONDS_MAX)
        )

    async def _in(
        self,
        pool: ThreadPoolExecutor,
        method: str,
        path: str,
        query: dict[str, str],
        body: RawObject | None,
        seconds: float,
        guard: Callable[[], None] | None = None,
    ) -> RawObject | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(
            pool, self._call, method, path, query, body, seconds, guard
        )

    def _call(
        self,
        method: str,
        path: str,
        query: dict[str, str],
        body: RawObject | None,
        seconds: float,
        guard: Callable[[], None] | None,
    ) -> RawObject | None:
        """One request, in a thread. None for 404 to anything but a POST."""
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = MERGE_PATCH
        pairs = [(name, value) for name, value in query.items() if value]
        request = self._api.param_serialize(
            method, path, None, pairs, headers, body, auth_settings=["BearerToken"]
        )
        if guard is not None:
            guard()
        try:
            response = self._api.call_api(*request, _request_timeout=(CONNECT_SECONDS_MAX, seconds))
            data = response.read()  # type: ignore[no-untyped-call]
        except (client.ApiException, urllib3.exceptions.HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}") from error
        return _answer(method, path, response.status, data)


def _nobody_leads() -> None:
    raise NotLeading("no election has been won yet")


def _answer(method: str, path: str, status: int, data: bytes) -> RawObject | None:
    """What the API server said, as an object, None or an error of ours."""
    if status < 300:
        answer: RawObject = json.loads(data)
        return answer
    if status == _NOT_FOUND and method != "POST":
        return None
    raise _error(method, path, status, data)


def _error(method: str, path: str, status: int, data: bytes) -> ClusterError:
    try:
        body = json.loads(data)
        reason, text = str(body.get("reason", "")), str(body.get("message", ""))
        causes = (body.get("details") or {}).get("causes") or ()
        another = any(cause.get("field") == "metadata.uid" for cause in causes)
        ending = any(cause.get("reason") == _NAMESPACE_ENDS for cause in causes)
    except (ValueError, AttributeError):
        reason, text, another, ending = "", data[:200].decode(errors="replace"), False, False
    kind: type[ClusterError] = Refused
    if status in _UNAVAILABLE or ending:
        kind = ClusterUnavailable
    elif status == _CONFLICT or another:
        kind = AlreadyExists if reason == "AlreadyExists" else Conflict
    message = text or f"{method} {path} was answered with {status}"
    return kind(message, status=status, reason=reason)


def _present(answer: RawObject | None) -> RawObject:
    if answer is None:
        raise ClusterUnavailable("the object to replace is gone", status=_NOT_FOUND)
    return answer
