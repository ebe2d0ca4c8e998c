"""A local port of the API server: `kubectl port-forward`, started anew when its pod is replaced."""

import re
import subprocess
import threading
import time
from collections.abc import Mapping
from types import TracebackType

from ranvier_dev.ports import free_port

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
        self._process: subprocess.Popen[str] | None = None
        self._closing = False
        self._words = ""

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
        if self._process:
            self._process.terminate()
            self._process.wait()
            assert self._process.stdout
            self._process.stdout.close()

    def _start(self) -> None:
        deadline = time.monotonic() + START_SECONDS_MAX
        while not self._try():
            if time.monotonic() > deadline:
                raise ForwardFailed(f"kubectl port-forward {self._target}: {self._words}")
            time.sleep(0.2)

    def _try(self) -> bool:
        argv = ["kubectl", "-n", NAMESPACE, "port-forward", self._target, f"{self._port}:8080"]
        self._process = subprocess.Popen(
            argv, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._process.stdout
        line = self._process.stdout.readline()
        if re.match(r"Forwarding from", line):
            return True
        self._words = (line + self._process.stdout.read()).strip()
        self._process.wait()
        self._process.stdout.close()
        return False

    def _keep(self) -> None:
        """kubectl ends when the pod behind the port is gone: follow the service to the next one."""
        while not self._closing:
            assert self._process
            assert self._process.stdout
            for line in self._process.stdout:
                if "lost connection" in line or "error" in line.lower():
                    self._process.terminate()
                    break
            self._process.wait()
            if self._closing:
                return
            self._process.stdout.close()
            self._start_again()

    def _start_again(self) -> None:
        """However long the API server is away."""
        while not self._closing:
            try:
                self._start()
            except ForwardFailed:
                time.sleep(1)
            else:
                return
