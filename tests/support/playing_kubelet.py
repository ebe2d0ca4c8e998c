"""Plays scheduler, kubelet and broker for the pods of a small cluster, as fast as they come.

A pod is scheduled, becomes ready and its broker attaches to every mount; a pod that is asked to end
is gone a moment later. `refuse` leaves new pods as they are.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
from kubernetes_api import PlayedCluster
from ranvier_operator.kinds import CLAIMS, PODS, Kind, RawObject
from ranvier_operator.naming import GENERATION_ANNOTATION, volume_name

ATTACH_TRIES = 200


class PlayingKubelet:
    def __init__(
        self, cluster: PlayedCluster, api: httpx.AsyncClient, admit: Callable[[str, str], None]
    ) -> None:
        self._cluster = cluster
        self._api = api
        self._admit = admit
        self._work: asyncio.Queue[RawObject] = asyncio.Queue()
        self.refuse = False
        self.pods: list[str] = []
        cluster.watchers.append(self._heard)

    async def run(self) -> None:
        while True:
            body = await self._work.get()
            name, here = body["metadata"]["name"], body["metadata"]["namespace"]
            if body["metadata"].get("deletionTimestamp"):
                self._cluster.erase(PODS, here, name)
            elif not self.refuse and body["status"]["phase"] == "Pending":
                await self._start(here, name, body)

    def _heard(self, kind: Kind, event_type: str, body: RawObject) -> None:
        if kind is PODS and event_type != "DELETED":
            self._work.put_nowait(body)

    async def _start(self, here: str, name: str, body: RawObject) -> None:
        self.pods.append(name)
        self._cluster.report(CLAIMS, here, volume_name(name), {"status": {"phase": "Bound"}})
        status: dict[str, Any] = {"phase": "Running", "startTime": self._cluster.time_text()}
        scheduled = {"type": "PodScheduled", "status": "True"}
        place = {"spec": {"nodeName": "n"}, "status": {**status, "conditions": [scheduled]}}
        self._cluster.report(PODS, here, name, place)
        await self._attach(body)
        ready = [scheduled, {"type": "Ready", "status": "True"}]
        if self._cluster.peek(PODS, here, name) is not None:
            self._cluster.report(PODS, here, name, {"status": {**status, "conditions": ready}})

    async def _attach(self, body: RawObject) -> None:
        """The broker takes its mounts, and reads all that waits for it."""
        uid = body["metadata"]["ownerReferences"][0]["uid"]
        token = f"broker-of-{uid}"
        self._admit(token, uid)
        environment = {
            item["name"]: item.get("value", "") for item in body["spec"]["initContainers"][0]["env"]
        }
        generation = int(body["metadata"]["annotations"][GENERATION_ANNOTATION])
        for mount in json.loads(environment["RANVIER_MOUNTS"]):
            base = f"/internal/v1/devboxes/{uid}/mounts/{mount['index']}"
            for _ in range(ATTACH_TRIES):
                attached = await self._post(f"{base}/attach", token, {"generation": generation})
                if attached.status_code != 404:
                    break
                await asyncio.sleep(0.02)  # the operator has not told the journal of it yet
            if attached.is_success:
                answer = attached.json()
                batch = {"epoch": answer["epoch"], "batch": 1, "cursor": answer["head"]}
                await self._post(f"{base}/append", token, batch)

    async def _post(self, path: str, token: str, body: dict[str, Any]) -> httpx.Response:
        return await self._api.post(path, json=body, headers={"authorization": f"Bearer {token}"})
