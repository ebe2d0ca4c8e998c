"""From a Devbox's spec and what it refers to, to what shall run, or to the reason why it can not.

A Blueprint's settings and the devbox's own are merged here as `ranvier.resources.settings`
promises: the devbox wins field by field, `env` by name, `nodeSelector` by key. PURE.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ranvier.internal import DeletionPolicy, DevboxBinding, MountBinding
from ranvier.resources import (
    DEFAULT_HOME_PATH,
    DEFAULT_HOME_SIZE,
    DEFAULT_USER_UID,
    AcceptedReason,
    AgentProtocol,
    Axon,
    Blueprint,
    BlueprintSpec,
    BrokerMount,
    Devbox,
    DevboxSpec,
    EnvVar,
    HomeSettings,
    Mount,
    OperatingMode,
    Resources,
)
from ranvier.resources.mounts import FILES_BYTES_MAX

CANONICAL: Final = {AgentProtocol.CODEX_JSON: AgentProtocol.CODEX_APP_SERVER}
"""Aliases and the word that the broker knows."""
SPOKEN: Final = (
    AgentProtocol.ACP,
    AgentProtocol.CLAUDE_JSON,
    AgentProtocol.CODEX_APP_SERVER,
    AgentProtocol.PI_JSON,
)
"""Protocols that this version's broker speaks."""
AGENTS: Final[Mapping[AgentProtocol, tuple[str, ...]]] = {
    AgentProtocol.CLAUDE_JSON: ("claude",),
    AgentProtocol.CODEX_APP_SERVER: ("codex", "app-server"),
    AgentProtocol.PI_JSON: ("pi",),
}
"""The program where the mount names none, and the arguments before the mount's own."""


KEYS: Final = "brokerMount, fileMount and codeMount"

ARGS_BYTES_MAX: Final = 100_000
"""All launchArgs of a devbox together: they reach the broker in one variable, and Linux allows
128 KiB for one."""


@dataclass(frozen=True, slots=True)
class AgentMount:
    """One broker mount, ready for the broker. `index` is its place in `spec.mounts`."""

    index: int
    axon_id: str
    protocol: str
    agent_binary: str
    launch_args: tuple[str, ...]
    working_directory: str
    silence_deadline_seconds: int
    turn_deadline_seconds: int | None
    cancel_grace_seconds: int


@dataclass(frozen=True, slots=True)
class HomeWanted:
    """The home volume that the devbox shall have."""

    size: str
    storage_class_name: str | None
    path: str
    retain: bool


@dataclass(frozen=True, slots=True)
class SecretEntry:
    """A variable's value that stands in a Secret."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class FileWanted:
    """One file that is written at the start. `path` is absolute."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class CodeWanted:
    """One repository that is cloned at the first start. `path` is absolute."""

    index: int
    path: str
    url: str
    ref: str
    install_command: str
    token: SecretEntry | None


@dataclass(frozen=True, slots=True)
class PodWanted:
    """All that a pod is made from, besides the devbox's identity and generation."""

    image: str
    image_pull_policy: str | None
    image_pull_secrets: tuple[str, ...]
    env: Mapping[str, str | SecretEntry]
    launch_commands: tuple[str, ...]
    entrypoint: str | None
    resources: Mapping[str, Any]
    user_uid: int
    runtime_class_name: str | None
    node_selector: Mapping[str, str]
    tolerations: tuple[Mapping[str, Any], ...]
    home: HomeWanted
    mounts: tuple[AgentMount, ...]
    supplies: tuple[FileWanted | CodeWanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """Why the spec can not be carried out as it stands."""

    reason: AcceptedReason
    message: str


@dataclass(frozen=True, slots=True)
class Resolution:
    """What the spec comes to. Without `pod` no pod can be made, and `problem` says why; `binding`
    may be there nevertheless, so that a running devbox still falls asleep while its Blueprint is
    gone."""

    binding: DevboxBinding | None
    pod: PodWanted | None
    problem: Problem | None = None


def resolve(devbox: Devbox, blueprint: Blueprint | None, axons: Mapping[str, Axon]) -> Resolution:
    """`axons` are the Axon resources of the devbox's namespace by name."""
    found, problem = _axon_ids(devbox, axons)
    if problem is not None:
        return Resolution(None, None, problem)
    binding = _binding(devbox, found)
    spec = devbox.spec
    if spec.blueprint_name and blueprint is None:
        message = f"There is no Blueprint {spec.blueprint_name!r} in this namespace."
        return Resolution(binding, None, Problem(AcceptedReason.BLUEPRINT_NOT_FOUND, message))
    base = blueprint.spec if blueprint is not None and spec.blueprint_name else None
    image = base.image if base is not None else spec.image
    if not image:
        message = "Neither image nor blueprintName is set."
        return Resolution(binding, None, Problem(AcceptedReason.SPEC_INVALID, message))
    return Resolution(binding, _pod(spec, base, image, found))


def axon_names(devbox: Devbox) -> frozenset[str]:
    """The Axon resources that this devbox refers to."""
    mounts = (mount.broker_mount for mount in devbox.spec.mounts)
    return frozenset(mount.axon_ref.name for mount in mounts if mount and mount.axon_ref)


Found = tuple[tuple[int, BrokerMount, AgentProtocol, str], ...]
"""Broker mounts with index, protocol in the broker's word, and axon id."""


def _axon_ids(devbox: Devbox, axons: Mapping[str, Axon]) -> tuple[Found, Problem | None]:
    found, size = [], 0
    for index, mount in enumerate(devbox.spec.mounts):
        broker = mount.broker_mount
        if broker is None:
            if mount.file_mount is None and mount.code_mount is None:
                message = f"mounts[{index}] has no key that this version knows; it knows {KEYS}."
                return (), Problem(AcceptedReason.SPEC_INVALID, message)
            continue
        protocol = CANONICAL.get(broker.protocol, broker.protocol)
        if protocol not in SPOKEN:
            message = (
                f"mounts[{index}] wants {protocol.value}; this version speaks {', '.join(SPOKEN)}."
            )
            return (), Problem(AcceptedReason.PROTOCOL_UNSUPPORTED, message)
        axon_id = _axon_id(broker, axons)
        if isinstance(axon_id, Problem):
            return (), axon_id
        found.append((index, broker, protocol, axon_id))
        size += sum(len(arg.encode()) for arg in broker.launch_args)
    if size > ARGS_BYTES_MAX:
        message = f"All launchArgs together hold {size} bytes; {ARGS_BYTES_MAX} is the limit."
        return (), Problem(AcceptedReason.SPEC_INVALID, message)
    files = [mount.file_mount.content for mount in devbox.spec.mounts if mount.file_mount]
    if (held := sum(len(content.encode()) for content in files)) > FILES_BYTES_MAX:
        message = f"All file mounts together hold {held} bytes; {FILES_BYTES_MAX} is the limit."
        return (), Problem(AcceptedReason.SPEC_INVALID, message)
    return tuple(found), None


def _axon_id(broker: BrokerMount, axons: Mapping[str, Axon]) -> str | Problem:
    if broker.axon_id:
        return broker.axon_id
    name = broker.axon_ref.name if broker.axon_ref else ""
    axon = axons.get(name)
    if axon is None:
        message = f"There is no Axon {name!r} in this namespace."
        return Problem(AcceptedReason.AXON_NOT_FOUND, message)
    if not axon.status.axon_id:
        message = f"Axon {name!r} has no journal yet."
        return Problem(AcceptedReason.AXON_NOT_READY, message)
    return axon.status.axon_id


def _binding(devbox: Devbox, found: Found) -> DevboxBinding:
    return DevboxBinding(
        namespace=devbox.metadata.namespace,
        name=devbox.metadata.name,
        mounts=[
            MountBinding(index=index, axon_id=axon_id, protocol=protocol.value)
            for index, _, protocol, axon_id in found
        ],
        wake_on_event=devbox.spec.lifecycle.resume_triggers.axon_event,
        held=devbox.spec.operating_mode is OperatingMode.SUSPENDED,
    )


def _pod(spec: DevboxSpec, base: BlueprintSpec | None, image: str, found: Found) -> PodWanted:
    defaults = base or BlueprintSpec(image=image)
    home = _home(spec, defaults.home)
    user = spec.user or defaults.user
    return PodWanted(
        image=image,
        image_pull_policy=spec.image_pull_policy or defaults.image_pull_policy,
        image_pull_secrets=tuple(
            secret.name for secret in spec.image_pull_secrets or defaults.image_pull_secrets
        ),
        env={item.name: _value(item) for item in (*defaults.env, *spec.env)},
        launch_commands=spec.launch_commands or defaults.launch_commands,
        entrypoint=spec.entrypoint,
        resources=_resources(spec.resources, defaults.resources),
        user_uid=user.uid if user is not None else DEFAULT_USER_UID,
        runtime_class_name=spec.runtime_class_name or defaults.runtime_class_name,
        node_selector={**(defaults.node_selector or {}), **(spec.node_selector or {})},
        tolerations=tuple(
            toleration.manifest() for toleration in spec.tolerations or defaults.tolerations
        ),
        home=home,
        mounts=tuple(
            _agent(index, broker, protocol, axon_id, home.path)
            for index, broker, protocol, axon_id in found
        ),
        supplies=tuple(
            supply
            for index, mount in enumerate(spec.mounts)
            if (supply := _supply(index, mount, home.path)) is not None
        ),
    )


def _supply(index: int, mount: Mount, home: str) -> FileWanted | CodeWanted | None:
    if (file := mount.file_mount) is not None:
        return FileWanted(_placed(file.path, home), file.content)
    if (code := mount.code_mount) is None:
        return None
    name = code.url.rstrip("/").rpartition("/")[2].removesuffix(".git") or "code"
    token = code.token_secret
    return CodeWanted(
        index=index,
        path=_placed(code.path or name, home),
        url=code.url,
        ref=code.ref or "",
        install_command=code.install_command or "",
        token=SecretEntry(token.name, token.key) if token is not None else None,
    )


def _placed(path: str, home: str) -> str:
    return path if path.startswith("/") else f"{home}/{path.removeprefix('~/')}"


def _value(variable: EnvVar) -> str | SecretEntry:
    if variable.value_from is None:
        return variable.value
    entry = variable.value_from.secret_key_ref
    return SecretEntry(entry.name, entry.key)


def _agent(
    index: int, broker: BrokerMount, protocol: AgentProtocol, axon_id: str, home: str
) -> AgentMount:
    own = (broker.agent_binary,) if broker.agent_binary else AGENTS.get(protocol, ("",))
    return AgentMount(
        index=index,
        axon_id=axon_id,
        protocol=protocol.value,
        agent_binary=own[0],
        launch_args=(*own[1:], *broker.launch_args),
        working_directory=broker.working_directory or home,
        silence_deadline_seconds=broker.silence_deadline_seconds,
        turn_deadline_seconds=broker.turn_deadline_seconds,
        cancel_grace_seconds=broker.cancel_grace_seconds,
    )


def _home(spec: DevboxSpec, defaults: HomeSettings | None) -> HomeWanted:
    own, base = spec.home, defaults or HomeSettings()
    size = (own.size if own else None) or base.size or DEFAULT_HOME_SIZE
    policy = own.deletion_policy if own else DeletionPolicy.DELETE
    return HomeWanted(
        size=str(size),
        storage_class_name=(own.storage_class_name if own else None) or base.storage_class_name,
        path=(own.path if own else None) or base.path or DEFAULT_HOME_PATH,
        retain=policy is DeletionPolicy.RETAIN,
    )


def _resources(own: Resources | None, base: Resources | None) -> dict[str, Any]:
    own, base = own or Resources(), base or Resources()
    merged = {
        "requests": own.requests or base.requests,
        "limits": own.limits or base.limits,
    }
    return {name: dict(amounts) for name, amounts in merged.items() if amounts}
