"""Runs the pods of this machine as processes, and reports how they are.

One task a pod: it makes the folders, starts the sidecar and then the devbox, starts again what
ends, asks the broker whether it is ready, and takes everything down when the pod's deletion was
asked for. Only then does the pod's object go, as in a cluster.
"""

import asyncio
import base64
import contextlib
import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from ranvier_dev import processes
from ranvier_dev.clock import timestamp
from ranvier_dev.kinds import CLAIMS, PODS, SECRETS, RawObject
from ranvier_dev.objects import Change, Objects
from ranvier_dev.pods import (
    SAID_BYTES_MAX,
    Folders,
    PodState,
    Program,
    ProgramState,
    Unrunnable,
    folders_of,
    programs,
    status,
    token_folders,
)
from ranvier_dev.ports import free_port
from ranvier_dev.tokens import Bearer, Tokens

NODE: Final = "this-machine"
READY_LOOK_SECONDS: Final = 0.05
READY_SECONDS_MAX: Final = 1.0
RESTART_SECONDS: Final = 0.5
RESTART_SECONDS_MAX: Final = 30.0
"""Pauses before a program that ended is started again; they double up to this."""
WORKS_SECONDS: Final = 60.0
"""A program that ran for so long works: its pauses begin anew."""
SIDECAR_END_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Kubelet:
    """`environment` is what every process gets before its container's own variables."""

    def __init__(
        self,
        objects: Objects,
        tokens: Tokens,
        state: Path,
        commands: Mapping[str, tuple[str, ...]],
        environment: Mapping[str, str],
    ) -> None:
        self._objects = objects
        self._tokens = tokens
        self._state = state
        self._commands = commands
        self._environment = environment
        self._ends: dict[str, asyncio.Event] = {}
        self._gone = asyncio.Event()
        self._is_closed = False
        self._news: asyncio.Queue[Change] = asyncio.Queue()

    def changed(self, change: Change) -> None:
        """Told of every change of an object."""
        if change.served in (PODS, CLAIMS):
            self._news.put_nowait(change)

    async def run(self) -> None:
        """Until cancelled; `end_all` comes before that."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._consider(await self._news.get(), group)

    async def end_all(self) -> None:
        """End every pod and wait until it is gone; none is begun any more."""
        self._is_closed = True
        for end in self._ends.values():
            end.set()
        while self._ends:
            self._gone.clear()
            await self._gone.wait()

    def _consider(self, change: Change, group: asyncio.TaskGroup) -> None:
        metadata = change.body["metadata"]
        uid = metadata["uid"]
        if change.served == CLAIMS:
            if change.type == "DELETED":
                folder = self._claims(metadata["namespace"]) / metadata["name"]
                shutil.rmtree(folder, ignore_errors=True)
        elif change.type == "DELETED" or "deletionTimestamp" in metadata:
            if (end := self._ends.get(uid)) is not None:
                end.set()
        elif uid not in self._ends and not self._is_closed:
            self._ends[uid] = asyncio.Event()
            group.create_task(self._pod(change.body, self._ends[uid]))

    def _claims(self, namespace: str) -> Path:
        return self._state / "volumes" / namespace

    async def _pod(self, pod: RawObject, end: asyncio.Event) -> None:
        uid = pod["metadata"]["uid"]
        runner = PodRunner(self._objects, pod, self._state / "pods" / uid)
        token = self._tokens.issue(bearer_of(pod))
        folders = Folders(str(runner.folder), str(self._claims(pod["metadata"]["namespace"])))
        try:
            runner.prepare(folders, token)
            secrets = self._secrets(pod["metadata"]["namespace"])
            plans = programs(pod, folders, self._commands, secrets, free_port())
            await runner.run(plans, self._environment, end)
        except (Unrunnable, OSError) as error:
            log.warning("pod %s does not run: %s", pod["metadata"]["name"], error)
            runner.fail(str(error))
            await end.wait()
        finally:
            self._tokens.revoke(token)
            shutil.rmtree(runner.folder, ignore_errors=True)
            del self._ends[uid]
            runner.erase()
            self._gone.set()

    def _secrets(self, namespace: str) -> dict[str, dict[str, str]]:
        found = {}
        for secret in self._objects.select(SECRETS, namespace):
            coded = secret.get("data", {}).items()
            plain = {key: base64.b64decode(value).decode() for key, value in coded}
            found[secret["metadata"]["name"]] = {**plain, **secret.get("stringData", {})}
        return found


class PodRunner:
    """One pod's processes and its status."""

    def __init__(self, objects: Objects, pod: RawObject, folder: Path) -> None:
        self._objects = objects
        self._metadata = pod["metadata"]
        self._pod = pod
        self._grace = float(pod["spec"].get("terminationGracePeriodSeconds", 30))
        self._state = PodState(timestamp())
        self.folder = folder

    def prepare(self, folders: Folders, token: str) -> None:
        """Bind the pod to this node and make what it mounts."""
        for folder in folders_of(self._pod, folders):
            Path(folder).mkdir(parents=True, exist_ok=True)
        for path in map(Path, token_folders(self._pod, folders)):
            path.write_text(token)
            path.chmod(0o600)
        self._patch({"spec": {"nodeName": NODE}})

    def fail(self, why: str) -> None:
        """It can not run; the status says why."""
        self._state = PodState(self._state.started, trouble=why)
        self._report()

    def erase(self) -> None:
        """Nothing of it runs any more: the object may go."""
        with contextlib.suppress(Exception):
            place = PODS, self._metadata["namespace"], self._metadata["name"]
            self._objects.delete(*place, uid=self._metadata["uid"], grace=0)

    async def run(
        self, plans: list[Program], environment: Mapping[str, str], end: asyncio.Event
    ) -> None:
        """Until `end` is set and everything is down: the devbox first, its sidecars after it."""
        self._state.programs.extend(ProgramState(plan) for plan in plans)
        sidecars_end = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            keepers = []
            for state in self._state.programs:
                until = sidecars_end if state.program.is_sidecar else end
                seconds = SIDECAR_END_SECONDS if state.program.is_sidecar else self._grace
                keeping = self._keep(state, environment, until, seconds)
                keepers.append((state, group.create_task(keeping)))
            await end.wait()
            devboxes = [task for state, task in keepers if not state.program.is_sidecar]
            await asyncio.wait(devboxes)
            sidecars_end.set()

    async def _keep(
        self,
        state: ProgramState,
        environment: Mapping[str, str],
        until: asyncio.Event,
        seconds: float,
    ) -> None:
        """Start it, and start it again whenever it ends, until told otherwise."""
        program = state.program
        path = self.folder.parent.parent / "logs" / f"{self._metadata['name']}.{program.name}.log"
        loop, pause = asyncio.get_running_loop(), RESTART_SECONDS
        while not until.is_set():
            began = loop.time()
            forget_words(program)
            process = await processes.start(
                program.argv, {**environment, **program.environment}, program.directory, path
            )
            state.is_running, state.is_ready = True, program.ready_port is None
            self._report()
            await self._watch(state, process, until)
            await processes.end(process, seconds if until.is_set() else 0)
            state.is_running = state.is_ready = False
            state.last_exit, state.last_words = process.returncode, last_words(program)
            if until.is_set():
                return
            state.restarts += 1
            self._report()
            pause = RESTART_SECONDS if loop.time() - began > WORKS_SECONDS else pause
            await _set_within(until, pause)
            pause = min(pause * 2, RESTART_SECONDS_MAX)

    async def _watch(
        self, state: ProgramState, process: asyncio.subprocess.Process, until: asyncio.Event
    ) -> None:
        """Until the process ended or is to end; meanwhile the readiness probe."""
        async with asyncio.TaskGroup() as group:
            exits = group.create_task(process.wait())
            told = group.create_task(until.wait())
            probe = group.create_task(self._probe(state))
            await asyncio.wait({exits, told}, return_when=asyncio.FIRST_COMPLETED)
            for task in (exits, told, probe):
                task.cancel()

    async def _probe(self, state: ProgramState) -> None:
        port = state.program.ready_port
        while port is not None:
            is_ready = await asks_ready(port)
            if is_ready != state.is_ready:
                state.is_ready = is_ready
                self._report()
            await asyncio.sleep(READY_SECONDS_MAX if is_ready else READY_LOOK_SECONDS)

    def _report(self) -> None:
        self._patch({"status": status(self._state)}, is_status=True)

    def _patch(self, patch: RawObject, *, is_status: bool = False) -> None:
        place = PODS, self._metadata["namespace"], self._metadata["name"]
        patch = {**patch, "metadata": {"uid": self._metadata["uid"]}}
        with contextlib.suppress(Exception):  # it was deleted meanwhile: nobody reads it
            self._objects.patch(*place, patch, status=is_status)


def last_words(program: Program) -> str:
    """The sentence that it left before it ended, if it did."""
    if program.last_words is None:
        return ""
    with contextlib.suppress(OSError), Path(program.last_words).open(errors="replace") as file:
        return file.read(SAID_BYTES_MAX).strip()
    return ""


def forget_words(program: Program) -> None:
    """What it said before its last end is no word on the next."""
    if program.last_words is not None:
        Path(program.last_words).unlink(missing_ok=True)


def bearer_of(pod: RawObject) -> Bearer:
    """Whose the pod's token is."""
    metadata, account = pod["metadata"], pod["spec"].get("serviceAccountName", "default")
    username = f"system:serviceaccount:{metadata['namespace']}:{account}"
    return Bearer(username, metadata["name"], metadata["uid"])


async def asks_ready(port: int) -> bool:
    """GET /readyz, as a kubelet's probe."""
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            words = (await reader.readline()).split()
            writer.close()
            return len(words) > 1 and words[1] == b"200"
    except (OSError, TimeoutError):
        return False


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def inherited(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What devboxes get of this shell: all but what configures Ranvier and Kubernetes clients."""
    own = ("RANVIER_", "KUBE")
    return {name: value for name, value in environment.items() if not name.startswith(own)}
