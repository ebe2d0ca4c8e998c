"""A local port of the API server: `kubectl port-forward`, started anew when its pod is replaced."""

import threading
import time
from collections.abc import Mapping
from types import TracebackType

from ranvier_dev.ports import free_port

from stage.program import Program
from stage.release import NAMESPACE, RELEASE

START_SECONDS_MAX = 30


class ForwardFailed(Exception):
    """kubectl could not forward; the message has its words."""


class ApiForward:
    """Context manager; `url` on loopback stays the same over restarts of the API server."""

    def __init__(self, env: Mapping[str, str], target: str = f"svc/{RELEASE}-apiserver") -> None:
        self._env = dict(env)
        self._target = target
        self._port = 0
        self._kubectl: Program | None = None
        self._closing = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def __enter__(self) -> "ApiForward":
        self._port = free_port()
        self._start()
        threading.Thread(target=self._keep, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        if self._kubectl:
            self._kubectl.end()

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        argv = ["kubectl", "-n", NAMESPACE, "port-forward", self._target, f"{self._port}:8080"]
        while True:
            self._kubectl = Program(argv, self._env).__enter__()
            if self._kubectl.until(r"^Forwarding from", START_SECONDS_MAX):
                return
            self._kubectl.end()
            if time.monotonic() > deadline:
                said = self._kubectl.said.strip()
                raise ForwardFailed(f"kubectl port-forward {self._target}: {said}")
            time.sleep(0.2)

    def _keep(self) -> None:
        """kubectl ends when the pod behind the port is gone: follow the service to the next one."""
        while not self._closing:
            assert self._kubectl
            self._kubectl.until(r"(?i)lost connection|error", None)
            if self._closing:
                return
            self._kubectl.end()
            self._start_again()

    def _start_again(self) -> None:
        """However long the API server is away."""
        while not self._closing:
            try:
                self._start()
            except ForwardFailed:
                time.sleep(1)
            else:
                break
        if self._closing and self._kubectl:
            self._kubectl.end()
