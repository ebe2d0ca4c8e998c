"""Starts everything in its order, says when it is ready, and takes it down again."""

import asyncio
import contextlib
import fcntl
import json
import logging
import secrets
import signal
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvicorn

from ranvier_dev import manifests, processes
from ranvier_dev.clock import timestamp
from ranvier_dev.kube_api import KubeApi
from ranvier_dev.kubelet import Kubelet, asks_ready, inherited
from ranvier_dev.objects import Change, Objects
from ranvier_dev.ports import free_port
from ranvier_dev.settings import NAMESPACE, Settings
from ranvier_dev.shelf import Shelf
from ranvier_dev.tokens import OPERATOR_SUBJECT, Bearer, Tokens

START_SECONDS_MAX: Final = 60.0
LOOK_SECONDS: Final = 0.05
END_SECONDS: Final = 8.0

URL_FILE: Final = "api-url"
"""Where the API listens: `ranvier`'s other commands find it beside the key."""

log = logging.getLogger(__name__)


class NotStarted(Exception):
    """A part did not come up; the message says which, and where its log is."""


@dataclass(frozen=True, slots=True)
class Ready:
    """How to reach it."""

    url: str
    api_key: str
    kubeconfig: Path
    seconds: float


async def run(settings: Settings, on_ready: Callable[[Ready], None]) -> None:
    """Serve until SIGINT or SIGTERM. Raises NotStarted, BadManifest or OSError."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    state = settings.state
    state.mkdir(parents=True, exist_ok=True)
    with lock(state):
        shelf = Shelf(state / "objects.db")
        try:
            async with Place(settings, shelf) as place:
                for path in settings.manifests:
                    for line in manifests.apply(place.objects, path):
                        log.info(line)
                key = place.api_key()
                async with place.processes(stop) as url:
                    (state / URL_FILE).write_text(f"{url}\n")
                    on_ready(Ready(url, key, place.kubeconfig, loop.time() - began))
                    await stop.wait()
        finally:
            shelf.close()


@contextlib.contextmanager
def lock(state: Path) -> Iterator[None]:
    """One process a folder. Raises NotStarted."""
    with (state / "lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NotStarted(
                f"{state} is in use by another ranvier-dev; stop it, or choose another --state"
            ) from None
        yield


class Place:
    """The small Kubernetes of one folder, served while it is open."""

    def __init__(self, settings: Settings, shelf: Shelf) -> None:
        self._settings = settings
        self._state = settings.state
        self._shelf = shelf
        self._tokens = Tokens()
        self._port = free_port()
        self.kubeconfig = self._state / "kubeconfig"
        self.objects = Objects(lambda: str(uuid.uuid4()), timestamp, self._changed)
        self._admin = secrets.token_urlsafe(24)
        self._kube = KubeApi(self.objects, self._tokens, self._admin)
        python = sys.executable
        self._kubelet = Kubelet(
            self.objects,
            self._tokens,
            self._state,
            {"ranvier-broker": (python, "-m", "ranvier_broker")},
            inherited(),
        )
        self._exit = contextlib.AsyncExitStack()

    def _changed(self, change: Change) -> None:
        self._shelf.note(change)
        self._kube.changed(change)
        self._kubelet.changed(change)

    async def __aenter__(self) -> "Place":
        self.objects.restore(self._shelf.objects())
        _private(
            self.kubeconfig, json.dumps(kubeconfig(f"http://127.0.0.1:{self._port}", self._admin))
        )
        server = uvicorn.Server(
            uvicorn.Config(
                self._kube.app,
                host="127.0.0.1",
                port=self._port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=1,
                lifespan="off",
            )
        )
        server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
        group = await self._exit.enter_async_context(asyncio.TaskGroup())
        serving = group.create_task(server.serve())
        running = group.create_task(self._kubelet.run())

        def end() -> None:
            self._kube.close()
            server.should_exit = True
            running.cancel()

        self._exit.callback(end)
        while not (server.started or serving.done()):  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(LOOK_SECONDS / 5)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._exit.__aexit__(*error)  # type: ignore[arg-type]

    def api_key(self) -> str:
        """The key of this folder: made once."""
        path = self._state / "api-key"
        if not path.exists():
            _private(path, f"rv_{secrets.token_urlsafe(24)}\n")
        return path.read_text().strip()

    @contextlib.asynccontextmanager
    async def processes(self, stop: asyncio.Event) -> AsyncIterator[str]:
        """API server, then operator; yields the API's URL when both are ready."""
        token = self._state / "operator-token"
        _private(token, self._tokens.issue(Bearer(OPERATOR_SUBJECT)))
        port = self._settings.port or free_port()
        url = f"http://127.0.0.1:{port}"
        common = {**inherited(), "KUBECONFIG": str(self.kubeconfig)}
        level = self._settings.log_level
        apiserver = {
            **common,
            "RANVIER_DATA": str(self._state / "journal"),
            "RANVIER_HOST": "127.0.0.1",
            "RANVIER_PORT": str(port),
            "RANVIER_API_KEYS_FILE": str(self._state / "api-key"),
            "RANVIER_OPERATOR_SUBJECT": OPERATOR_SUBJECT,
            "RANVIER_LOG_LEVEL": level,
        }
        probe_port = free_port()
        operator = {
            **common,
            "RANVIER_API_URL": url,
            "RANVIER_TOKEN_FILE": str(token),
            "RANVIER_NAMESPACE": NAMESPACE,
            "RANVIER_PROBE_PORT": str(probe_port),
            "RANVIER_LOG_LEVEL": level.upper(),
        }
        # Started in this order, since the operator asks the journal at once. Ended in another: no
        # operator that starts pods again, no journal that goes before its brokers.
        async with (
            self._part("ranvier_apiserver", apiserver, port, stop),
            self._pods(),
            self._part("ranvier_operator", operator, probe_port, stop),
        ):
            yield url

    @contextlib.asynccontextmanager
    async def _pods(self) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._kubelet.end_all()

    @contextlib.asynccontextmanager
    async def _part(
        self, module: str, environment: dict[str, str], port: int, stop: asyncio.Event
    ) -> AsyncIterator[None]:
        """One of our processes, ready while this is open; if it ends by itself, all end."""
        path = self._state / "logs" / f"{module.removeprefix('ranvier_')}.log"
        process = await processes.start((sys.executable, "-m", module), environment, None, path)

        async def watch() -> None:
            status = await process.wait()
            stop.set()
            raise NotStarted(f"{module} ended with status {status}; its log is {path}")

        async with asyncio.TaskGroup() as group:
            watching = group.create_task(watch())
            try:
                await _until_ready(port, module, path)
                yield
            finally:
                watching.cancel()
                await processes.end(process, END_SECONDS)


def kubeconfig(url: str, token: str) -> dict[str, object]:
    """For clients of the small Kubernetes; JSON is YAML."""
    context = {"cluster": "dev", "user": "dev", "namespace": NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "dev",
        "clusters": [{"name": "dev", "cluster": {"server": url}}],
        "users": [{"name": "dev", "user": {"token": token}}],
        "contexts": [{"name": "dev", "context": context}],
    }


def _private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


async def _until_ready(port: int, what: str, path: Path) -> None:
    async def ready() -> None:
        while not await asks_ready(port):  # noqa: ASYNC110 - another process
            await asyncio.sleep(LOOK_SECONDS)

    try:
        async with asyncio.timeout(START_SECONDS_MAX):
            await ready()
    except TimeoutError:
        raise NotStarted(f"{what} does not get ready; its log is {path}") from None
