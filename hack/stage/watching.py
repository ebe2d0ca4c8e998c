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
    """First sightings for one devbox, wake after wake.

    `start` opens two watches and returns when both stream; `begin` forgets what was seen, so that
    only what is new from there on counts; `stop` ends the watches.
    """

    def __init__(self, env: Mapping[str, str], namespace: str, name: str) -> None:
        self._env, self._namespace, self._name = dict(env), namespace, name
        self._watches: list[subprocess.Popen[str]] = []
        self._known: set[str] = set()
        self._old: set[str] = set()
        self._streaming: set[str] = set()
        self._news = threading.Condition()
        self.seen: Facts = {}

    def start(self) -> "WakeWatch":
        for resource in ("pods", "devboxes"):
            argv = [
                *("kubectl", "-n", self._namespace, "get", resource, "--watch"),
                *("--output-watch-events", "-o", "json"),
            ]
            watch = subprocess.Popen(argv, env=self._env, stdout=subprocess.PIPE, text=True)
            self._watches.append(watch)
            threading.Thread(target=self._follow, args=(watch, resource), daemon=True).start()
        self._wait(lambda: self._streaming >= {"pods", "devboxes"}, "the watches stream")
        self.begin()
        return self

    def begin(self) -> None:
        """From here on only new pods and new calls to wake count."""
        with self._news:
            self._old = set(self._known)
            self.seen = {}

    def stop(self) -> Facts:
        for watch in self._watches:
            watch.terminate()
            watch.wait()
        return dict(self.seen)

    def wait_for(self, fact: str, seconds: float = FACT_SECONDS_MAX) -> None:
        """Block until a fact was seen; TimeoutError when it does not come."""
        self._wait(lambda: fact in self.seen, fact, seconds)

    def _wait(
        self, holds: Callable[[], bool], what: str, seconds: float = FACT_SECONDS_MAX
    ) -> None:
        with self._news:
            if not self._news.wait_for(holds, seconds):
                raise TimeoutError(f"{what}: not seen within {seconds:.0f} s")

    def _follow(self, watch: "subprocess.Popen[str]", resource: str) -> None:
        assert watch.stdout
        for line in watch.stdout:  # one event a line
            now = time.time()
            found = json.loads(line)["object"]
            with self._news:
                self._streaming.add(resource)
                if found["metadata"]["name"] == self._name:
                    self._note(now, *_facts(found))
                self._news.notify_all()

    def _note(self, now: float, identity: str, facts: list[str]) -> None:
        self._known.add(identity)
        if identity not in self._old:
            for fact in facts:
                self.seen.setdefault(fact, now)


def _facts(found: dict[str, Any]) -> tuple[str, list[str]]:
    """What tells a new pod or a new call to wake from an old one, and what has happened to it."""
    if found["kind"] == "Pod":
        return found["metadata"]["uid"], pod_facts(found)
    wake = found.get("status", {}).get("wake")
    return json.dumps(wake, sort_keys=True), ["poke"] if wake else []
