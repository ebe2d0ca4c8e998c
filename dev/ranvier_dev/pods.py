"""A pod as local processes: what to run, with which folders and variables, and its status. Pure.

There is no mount namespace, so every path of a container stands for a folder of the state, and is
replaced by it wherever a container mentions it: in variables, arguments and working directory.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from ranvier_dev.kinds import RawObject

READY_PORT_VARIABLE: Final = "RANVIER_READY_PORT"
SAID_PATH: Final = "/dev/termination-log"
"""Where a container leaves its last words, unless its pod says otherwise."""
SAID_BYTES_MAX: Final = 4096
"""Of them; the kubelet's own bound."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a pod's volumes lie. A claim's folder outlives the pod."""

    pod: str
    claims: str

    def of(self, volume: Mapping[str, Any]) -> str:
        claim = volume.get("persistentVolumeClaim")
        return f"{self.claims}/{claim['claimName']}" if claim else f"{self.pod}/{volume['name']}"


@dataclass(frozen=True, slots=True)
class Program:
    """A container as a process."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    directory: str | None
    is_sidecar: bool
    ready_port: int | None = None
    last_words: str | None = None
    """The file where it leaves a sentence before it ends."""


class Unrunnable(Exception):
    """The pod asks for what can not be had here; the message says what."""


def folders_of(pod: RawObject, folders: Folders) -> list[str]:
    """Every folder that must be there before it runs."""
    return [folders.of(volume) for volume in pod["spec"].get("volumes", ())]


def token_folders(pod: RawObject, folders: Folders) -> list[str]:
    """Files for the pod's token: those of projected volumes."""
    return [
        f"{folders.of(volume)}/{source['serviceAccountToken']['path']}"
        for volume in pod["spec"].get("volumes", ())
        for source in (volume.get("projected") or {}).get("sources", ())
        if "serviceAccountToken" in source
    ]


def programs(
    pod: RawObject,
    folders: Folders,
    commands: Mapping[str, tuple[str, ...]],
    secrets: Mapping[str, Mapping[str, str]],
    ready_port: int,
) -> list[Program]:
    """Sidecars first. `commands` replaces a program's name by how it is started here; `secrets`
    are the namespace's, decoded. Raises Unrunnable."""
    spec = pod["spec"]
    sidecars = [c for c in spec.get("initContainers", ()) if c.get("restartPolicy") == "Always"]
    starting = [c for c in spec.get("initContainers", ()) if c.get("restartPolicy") != "Always"]
    if starting:
        raise Unrunnable(f"init container {starting[0]['name']!r} can not be run here")
    made = []
    for container in [*sidecars, *spec["containers"]]:
        said = f"{folders.pod}/{container['name']}.said"
        paths = _paths(container, spec, folders)
        paths[container.get("terminationMessagePath", SAID_PATH)] = said
        variables = _variables(container, pod, secrets)
        if READY_PORT_VARIABLE in variables:
            variables[READY_PORT_VARIABLE] = str(ready_port)
        words = (*container.get("command", ()), *container.get("args", ()))
        argv = [_plain(word) for word in words]
        directory = container.get("workingDir")
        made.append(
            Program(
                name=container["name"],
                argv=(*commands.get(argv[0], (argv[0],)), *(placed(a, paths) for a in argv[1:])),
                environment={name: placed(v, paths) for name, v in variables.items()},
                directory=placed(directory, paths) if directory else None,
                is_sidecar=container in sidecars,
                ready_port=ready_port if container.get("readinessProbe") else None,
                last_words=said,
            )
        )
    return made


def placed(text: str, paths: Mapping[str, str]) -> str:
    """The text with the container's paths replaced by this machine's, longest first."""
    for path in sorted(paths, key=len, reverse=True):
        text = text.replace(path, paths[path])
    return text


def _paths(
    container: Mapping[str, Any], spec: Mapping[str, Any], folders: Folders
) -> dict[str, str]:
    volumes = {volume["name"]: volume for volume in spec.get("volumes", ())}
    mounts = container.get("volumeMounts", ())
    found = {m["mountPath"]: folders.of(volumes[m["name"]]) for m in mounts}
    # The broker names the home directory by its path in the other container.
    for other in spec["containers"]:
        for mount in other.get("volumeMounts", ()):
            found.setdefault(mount["mountPath"], folders.of(volumes[mount["name"]]))
    return found


def _variables(
    container: Mapping[str, Any], pod: RawObject, secrets: Mapping[str, Mapping[str, str]]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for variable in container.get("env", ()):
        name = variable["name"]
        source = variable.get("valueFrom")
        if source is None:
            found[name] = _plain(variable.get("value", ""))
        elif "fieldRef" in source:
            found[name] = _field(pod, source["fieldRef"]["fieldPath"])
        elif "secretKeyRef" in source:
            reference = source["secretKeyRef"]
            try:
                found[name] = secrets[reference["name"]][reference["key"]]
            except KeyError:
                if not reference.get("optional"):
                    raise Unrunnable(
                        f"variable {name}: Secret {reference['name']!r} with the key "
                        f"{reference['key']!r} is not there"
                    ) from None
        else:
            raise Unrunnable(f"variable {name}: {next(iter(source))} is not known here")
    return found


def _plain(text: str) -> str:
    """As Kubernetes hands it on. `$(NAME)` is written by nobody here."""
    return text.replace("$$", "$")


def _field(pod: RawObject, path: str) -> str:
    value: Any = pod
    for part in path.split("."):
        value = value.get(part, {})
    return str(value)


_IMAGE: Final = {"image": "local process", "imageID": ""}
"""Clients insist on both."""


@dataclass(slots=True)
class ProgramState:
    """What the kubelet knows of one program."""

    program: Program
    is_running: bool = False
    is_ready: bool = False
    restarts: int = 0
    last_exit: int | None = None
    last_words: str = ""


@dataclass(frozen=True, slots=True)
class PodState:
    """Everything that a pod's status is made from."""

    started: str
    programs: list[ProgramState] = field(default_factory=list)
    trouble: str = ""


def status(state: PodState) -> RawObject:
    """The status that a kubelet would report."""
    runs = bool(state.programs) and all(s.is_running or s.restarts for s in state.programs)
    ready = bool(state.programs) and all(s.is_ready for s in state.programs)
    conditions = [{"type": "PodScheduled", "status": "True"}]
    conditions.append({"type": "Ready", "status": "True" if ready else "False"})
    body: RawObject = {
        "phase": "Running" if runs and not state.trouble else "Pending",
        "startTime": state.started,
        "conditions": conditions,
    }
    for key, is_sidecar in (("initContainerStatuses", True), ("containerStatuses", False)):
        body[key] = [_container(s) for s in state.programs if s.program.is_sidecar is is_sidecar]
    if state.trouble:
        waiting = {"waiting": {"reason": "CreateContainerConfigError", "message": state.trouble}}
        body["containerStatuses"] = [
            {**_IMAGE, "name": "devbox", "ready": False, "restartCount": 0, "state": waiting}
        ]
    return body


def _container(state: ProgramState) -> RawObject:
    body: RawObject = {
        "name": state.program.name,
        "ready": state.is_ready,
        "started": state.is_running,
        "restartCount": state.restarts,
        **_IMAGE,
    }
    ended = None
    if state.last_exit is not None:
        reason = "Completed" if state.last_exit == 0 else "Error"
        told = {"message": state.last_words} if state.last_words else {}
        ended = {"terminated": {"exitCode": state.last_exit, "reason": reason, **told}}
        body["lastState"] = ended
    if state.is_running:
        body["state"] = {"running": {}}
    else:
        reason = "CrashLoopBackOff" if ended else "ContainerCreating"
        body["state"] = {"waiting": {"reason": reason}}
    return body
