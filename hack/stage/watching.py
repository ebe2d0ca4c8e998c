"""Watches a Devbox and its pod and notes when each thing was first seen, by this machine's clock.

Kubernetes stamps to the second; a wake is told in milliseconds, so the watcher keeps its own times.
"""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

Facts = dict[str, float]

FACT_SECONDS_MAX = 120.0


def _condition(pod: dict[str, Any], kind: str) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(c["type"] == kind and c["status"] == "True" for c in conditions)


def _running(pod: dict[str, Any], where: str) -> bool:
    states = pod.get("status", {}).get(where, [])
    return bool(states) and all("running" in s.get("state", {}) for s in states)


def pod_facts(pod: dict[str, Any]) -> list[str]:
    """Names of what has happened to this pod so far, in the order of a start."""
    checks: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
        ("pod created", lambda p: True),
        ("scheduled", lambda p: _condition(p, "PodScheduled")),
        ("sandbox and volumes", lambda p: _condition(p, "PodReadyToStartContainers")),
        ("broker started", lambda p: _running(p, "initContainerStatuses")),
        ("devbox started", lambda p: _running(p, "containerStatuses")),
        ("pod ready", lambda p: _condition(p, "Ready")),
    ]
    return [name for name, holds in checks if holds(pod)]


class WakeWatch:
    """First sightings for one devbox; `start` begins, `stop` ends the two watches."""

    def __init__(self, env: Mapping[str, str], namespace: str, name: str) -> None:
        self._env, self._namespace, self._name = dict(env), namespace, name
        self._watches: list[subprocess.Popen[str]] = []
        self._old_pods: set[str] = set()
        self._old_wake: object = None
        self.seen: Facts = {}
        self._news = threading.Condition()

    def wait_for(self, fact: str, seconds: float = FACT_SECONDS_MAX) -> None:
        """Block until a fact was seen; TimeoutError when it does not come."""
        with self._news:
            if not self._news.wait_for(lambda: fact in self.seen, seconds):
                raise TimeoutError(f"{fact}: not seen within {seconds:.0f} s")

    def _saw(self, *facts: str) -> None:
        now = time.time()
        with self._news:
            for fact in facts:
                self.seen.setdefault(fact, now)
            self._news.notify_all()

    def start(self) -> "WakeWatch":
        """Begin; what is there already is remembered as old and never reported."""
        self._old_pods = {p["metadata"]["uid"] for p in self._list("pods")}
        boxes = self._list("devboxes")
        self._old_wake = boxes[0].get("status", {}).get("wake") if boxes else None
        for resource, note in (("pods", self._note_pod), ("devboxes", self._note_devbox)):
            argv = [*self._kubectl(resource), "--watch", "--output-watch-events"]
            watch = subprocess.Popen(argv, env=self._env, stdout=subprocess.PIPE, text=True)
            self._watches.append(watch)
            threading.Thread(target=self._follow, args=(watch, note), daemon=True).start()
        return self

    def stop(self) -> Facts:
        for watch in self._watches:
            watch.terminate()
            watch.wait()
        return dict(self.seen)

    def _kubectl(self, resource: str) -> list[str]:
        field = f"metadata.name={self._name}"
        return [
            *("kubectl", "-n", self._namespace, "get", resource),
            *("--field-selector", field, "-o", "json"),
        ]

    def _list(self, resource: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            self._kubectl(resource), env=self._env, capture_output=True, text=True, check=True
        )
        items: list[dict[str, Any]] = json.loads(done.stdout)["items"]
        return items

    def _follow(
        self, watch: "subprocess.Popen[str]", note: Callable[[dict[str, Any]], None]
    ) -> None:
        assert watch.stdout
        for line in watch.stdout:  # one event a line
            note(json.loads(line)["object"])

    def _note_pod(self, pod: dict[str, Any]) -> None:
        if pod["metadata"]["uid"] in self._old_pods:
            return
        self._saw(*pod_facts(pod))

    def _note_devbox(self, devbox: dict[str, Any]) -> None:
        wake = devbox.get("status", {}).get("wake")
        if wake and wake != self._old_wake:
            self._saw("poke")
