"""The Kubernetes API for benches: many small calls at once, and first sightings of pods.

`kubectl proxy` does the logging in, so that thousands of calls cost no process and no handshake
each. Times are this machine's, taken when an answer or a watch event arrives.
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

import httpx

from stage.program import Program

BUSY_TRIES_MAX: Final = 30
BUSY_SECONDS: Final = 1.0
PARALLEL: Final = 32
"""Calls under way at once."""
CALL_SECONDS_MAX: Final = 60.0
AGAIN_SECONDS: Final = 0.2
"""Before a watch that broke is begun anew."""
LIST_PAGE: Final = 500
MERGE: Final = "application/merge-patch+json"
NAMES_ONLY: Final = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
"""Watch events without the objects: what is timed is that a pod is there."""

RawObject = dict[str, Any]


class CallFailed(Exception):
    """The API server refused a call; the message is its own."""


class KubeProxy(Program):
    """Context manager: `kubectl proxy` on a port of loopback."""

    def __init__(self, env: Mapping[str, str]) -> None:
        super().__init__(["kubectl", "proxy", "--port=0"], env)
        self.url = ""

    def __enter__(self) -> Self:
        super().__enter__()
        served = self.until(r"127\.0\.0\.1:\d+", CALL_SECONDS_MAX)
        if served is None:
            self.end()
            raise CallFailed(f"kubectl proxy did not start: {self.said.strip() or 'no word'}")
        self.url = f"http://{served[0]}"
        return self


class Kube:
    """Calls through a KubeProxy. Paths are the API server's own."""

    def __init__(self, url: str) -> None:
        limits = httpx.Limits(max_connections=PARALLEL * 2, max_keepalive_connections=PARALLEL * 2)
        self.http = httpx.AsyncClient(
            base_url=url, trust_env=False, timeout=CALL_SECONDS_MAX, limits=limits
        )

    async def get(self, path: str, **query: str) -> RawObject:
        return await self._send("GET", path, query=query)

    async def find(self, path: str) -> RawObject | None:
        """None where there is no such object."""
        try:
            return await self.get(path)
        except CallFailed as failed:
            if "404" in str(failed):
                return None
            raise

    async def text(self, path: str) -> str:
        """An answer that is no JSON, such as /metrics."""
        answer = await self.http.get(path)
        return _checked("GET", path, answer).text

    async def items(self, path: str, **query: str) -> list[RawObject]:
        """All objects of a list, page by page."""
        found: list[RawObject] = []
        query = {**query, "limit": str(LIST_PAGE)}
        while True:
            page = await self.get(path, **query)
            found += page["items"]
            query["continue"] = page["metadata"].get("continue") or ""
            if not query["continue"]:
                return found

    async def create(self, path: str, body: RawObject) -> RawObject:
        return await self._send("POST", path, body)

    async def apply(self, path: str, body: RawObject) -> None:
        """Create it unless it is there already."""
        try:
            await self.create(path, body)
        except CallFailed as failed:
            if "AlreadyExists" not in str(failed):
                raise

    async def patch(self, path: str, patch: RawObject) -> RawObject:
        return await self._send("PATCH", path, patch, content_type=MERGE)

    async def delete(self, path: str, **query: str) -> None:
        """One object, or with a collection's path all of it; what is not there is no error."""
        answer = await self.http.delete(path, params=query)
        if answer.status_code != 404:
            _checked("DELETE", path, answer)

    async def close(self) -> None:
        await self.http.aclose()

    async def _send(
        self,
        method: str,
        path: str,
        body: RawObject | None = None,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> RawObject:
        content = None if body is None else json.dumps(body)
        headers = {"content-type": content_type} if content is not None else {}
        for _ in range(BUSY_TRIES_MAX):
            answer = await self.http.request(
                method, path, content=content, params=query, headers=headers
            )
            if answer.status_code != 429:  # "come again": a new resource's storage starts, say
                break
            await asyncio.sleep(BUSY_SECONDS)
        found: RawObject = _checked(method, path, answer).json()
        return found


def _checked(method: str, path: str, answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    raise CallFailed(f"{method} {path} was answered with {answer.status_code}: {answer.text[:500]}")


async def each(names: Iterable[str], call: Callable[[str], Awaitable[Any]]) -> None:
    """Call once for every name, PARALLEL at a time."""
    gate = asyncio.Semaphore(PARALLEL)

    async def one(name: str) -> None:
        async with gate:
            await call(name)

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(one(name))


class PodSightings:
    """When each pod of a namespace was first seen, and which are there. An async context."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._path = f"/api/v1/namespaces/{namespace}/pods"
        self._news = asyncio.Condition()
        self._watching: asyncio.Task[None] | None = None
        self.present: dict[str, str] = {}
        self.first: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        version = await self._list()
        self._watching = asyncio.ensure_future(self._follow(version))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._watching
        self._watching.cancel()
        await asyncio.gather(self._watching, return_exceptions=True)

    def begin(self) -> None:
        """From here on the first sighting of a new pod counts."""
        self.first = {}

    async def until(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait for something about `present` and `first`; False when the time is over."""
        try:
            async with asyncio.timeout(seconds), self._news:
                await self._news.wait_for(holds)
        except TimeoutError:
            return False
        return True

    async def _follow(self, version: str) -> None:
        """Watch on and on. The API server drops a watcher that is too slow: then all is listed
        anew, and what came meanwhile counts as seen at that moment."""
        is_known = True
        while True:
            try:
                if not is_known:
                    version = await self._list()
                is_known = False
                await self._watch(version)
            except (httpx.TransportError, CallFailed) as error:
                print(f"· the watch of {self._path} begins anew: {error}", flush=True)
                await asyncio.sleep(AGAIN_SECONDS)

    async def _list(self) -> str:
        """Take over what is there; the version from which a watch goes on."""
        listed = await self._kube.get(self._path)
        now = time.time()
        async with self._news:
            there = {body["metadata"]["name"]: body["metadata"] for body in listed["items"]}
            for name in self.present.keys() - there.keys():
                del self.present[name]
            for metadata in there.values():
                self._note("ADDED", metadata, now)
            self._news.notify_all()
        return str(listed["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> None:
        query = {"watch": "1", "resourceVersion": version}
        headers = {"accept": NAMES_ONLY}
        async with self._kube.http.stream(
            "GET", self._path, params=query, headers=headers, timeout=None
        ) as answer:
            async for line in answer.aiter_lines():
                now = time.time()
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise CallFailed(str(event["object"].get("message")))
                async with self._news:
                    self._note(event["type"], event["object"]["metadata"], now)
                    self._news.notify_all()

    def _note(self, event_type: str, metadata: RawObject, now: float) -> None:
        name, uid = metadata["name"], metadata["uid"]
        if event_type == "DELETED":
            if self.present.get(name) == uid:
                del self.present[name]
        elif self.present.get(name) != uid:
            self.present[name] = uid
            self.first.setdefault(name, now)


async def settled(
    what: str,
    names: Sequence[str],
    holds: Callable[[], Awaitable[set[str]]],
    seconds: float,
) -> set[str]:
    """Look every second until `holds` answers with all names; returns those that are missing."""
    deadline = time.monotonic() + seconds
    missing = set(names)
    shown = time.monotonic()
    while True:
        missing = set(names) - await holds()
        if not missing or time.monotonic() > deadline:
            return missing
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"· {what}: {len(names) - len(missing)} of {len(names)}", flush=True)
        await asyncio.sleep(1)


def is_ready(body: RawObject) -> bool:
    """Whether an object says of itself that it is: the condition Ready is true."""
    conditions = body.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
