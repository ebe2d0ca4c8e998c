"""`launch_parameters` and the parts of a resource's spec that they are, both ways. Pure."""

from typing import Any, Final

from ranvier.resources import BlueprintSpec, DevboxSpec, Lifecycle, OnIdle, PodSettings
from ranvier.resources.settings import DEFAULT_HOME_PATH

from ranvier_apiserver.errors import BadInput, InvalidField
from ranvier_apiserver.runloop import sizes
from ranvier_apiserver.runloop.params import AfterIdle, LaunchParams

KEEP_ALIVE_SECONDS: Final = 3600
"""Runloop's default: a devbox without an idle rule is shut down after an hour."""
ARCH_LABEL: Final = "kubernetes.io/arch"
ARCHITECTURES: Final = {"x86_64": "amd64", "arm64": "arm64"}
HOMES: Final = "/home/"

_ON_IDLE: Final = {"suspend": OnIdle.SUSPEND, "shutdown": OnIdle.SHUTDOWN}
_UNSERVED: Final = ("network_policy_id", "required_services")


def pod_settings(params: LaunchParams) -> dict[str, Any]:
    """What Blueprint and Devbox have in common."""
    for name in _UNSERVED:
        if getattr(params, name):
            raise InvalidField(f"launch_parameters.{name}: not served by this version; leave it.")
    spec: dict[str, Any] = {}
    if params.launch_commands:
        spec["launchCommands"] = list(params.launch_commands)
    if params.architecture is not None:
        spec["nodeSelector"] = {ARCH_LABEL: ARCHITECTURES[params.architecture]}
    home: dict[str, Any] = {}
    if (amounts := sizes.amounts_of(params)) is not None:
        spec["resources"] = sizes.resources_of(amounts)
        if amounts.disk_gib is not None:
            home["size"] = f"{amounts.disk_gib}Gi"
    if (user := params.user_parameters) is not None:
        if user.uid == 0:
            raise InvalidField(
                "launch_parameters.user_parameters.uid: root (0) is refused, pods are PodSecurity "
                "restricted; choose the id of a user that the image knows."
            )
        spec["user"] = {"uid": user.uid}
        home["path"] = HOMES + user.username
    return {**spec, "home": home} if home else spec


def lifecycle(params: LaunchParams) -> dict[str, Any]:
    """`spec.lifecycle` of a devbox."""
    given = params.lifecycle
    hooks = given.lifecycle_hooks if given else None
    if hooks is not None and hooks.suspend_commands:
        raise InvalidField(
            "launch_parameters.lifecycle.lifecycle_hooks.suspend_commands: not served by this "
            "version; leave them out."
        )
    spec: dict[str, Any] = {}
    after = _after_idle(params)
    if after is not None:
        spec["afterIdle"] = {
            "idleTimeSeconds": after.idle_time_seconds,
            "onIdle": _ON_IDLE[after.on_idle].value,
        }
    else:
        spec["keepAliveSeconds"] = params.keep_alive_time_seconds or KEEP_ALIVE_SECONDS
    triggers = given.resume_triggers if given else None
    if triggers is not None and triggers.axon_event is not None:
        spec["resumeTriggers"] = {"axonEvent": triggers.axon_event}
    return spec


def view(spec: DevboxSpec) -> dict[str, Any]:
    """The launch parameters of a devbox, whoever made it."""
    return {**settings_view(spec), **_lifecycle_view(spec.lifecycle)}


def settings_view(spec: PodSettings) -> dict[str, Any]:
    """The launch parameters that Blueprint and Devbox have in common."""
    home = spec.home if isinstance(spec, DevboxSpec | BlueprintSpec) else None
    found: dict[str, Any] = {}
    if spec.launch_commands:
        found["launch_commands"] = list(spec.launch_commands)
    size = str(home.size) if home is not None and home.size is not None else None
    found.update(sizes.view_of(spec.resources, size))
    for word, label in ARCHITECTURES.items():
        if (spec.node_selector or {}).get(ARCH_LABEL) == label:
            found["architecture"] = word
    if spec.user is not None:
        path = (home.path if home is not None else None) or DEFAULT_HOME_PATH
        found["user_parameters"] = {"username": path.rpartition("/")[2], "uid": spec.user.uid}
    return found


def _lifecycle_view(lifecycle: Lifecycle) -> dict[str, Any]:
    found: dict[str, Any] = {
        "lifecycle": {"resume_triggers": {"axon_event": lifecycle.resume_triggers.axon_event}}
    }
    after = lifecycle.after_idle
    if after is not None:
        idle = {
            "idle_time_seconds": after.idle_time_seconds,
            "on_idle": after.on_idle.value.lower(),
        }
        found["after_idle"] = found["lifecycle"]["after_idle"] = idle
    elif lifecycle.keep_alive_seconds is not None:
        found["keep_alive_time_seconds"] = lifecycle.keep_alive_seconds
    return found


def _after_idle(params: LaunchParams) -> AfterIdle | None:
    """From either of its two places; both must say the same."""
    new = params.lifecycle.after_idle if params.lifecycle else None
    if new is not None and params.after_idle is not None and new != params.after_idle:
        raise BadInput(
            "launch_parameters.after_idle and launch_parameters.lifecycle.after_idle differ; "
            "send lifecycle.after_idle only."
        )
    return new or params.after_idle
