"""The pod of a devbox: the user's container and, beside it, the broker. PURE.

Security holds by construction. The pod passes PodSecurity `restricted`; only the broker gets a
token, bound to this pod and good for nothing but Ranvier's API server; the agent's container sees
the broker's launcher read-only and shares with it one memory-backed directory for named pipes. Both
run as the same user, so either can open the other's pipes.

The pod is never changed after it was made. Another generation or another spec means another pod.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from ranvier.resources import Devbox

from ranvier_operator.manifests.broker import (
    BIN_DIR,
    IO_DIR,
    broker_container,
    environment,
    restricted,
    token_volume,
)
from ranvier_operator.manifests.start import start_command
from ranvier_operator.manifests.supplies import variables
from ranvier_operator.naming import (
    GENERATION_ANNOTATION,
    labels,
    owner_reference,
    pod_name,
    volume_name,
)
from ranvier_operator.resolution import PodWanted
from ranvier_operator.settings import Settings

END_SECONDS: Final = 10
"""Time for the agent to end on its own before it is killed."""
NODE_LOST_SECONDS: Final = 30
"""How long a pod stays on a node that does not answer; Kubernetes' own default is 300 s."""
IO_BYTES: Final = "64Mi"
"""Size limit of the pipes' directory. Pipes hold nothing; files there are exit statuses and
logs."""
BIN_BYTES: Final = "8Mi"
"""Size limit of the launcher's directory."""
EXECUTIONS_BYTES: Final = "4Gi"
"""Size limit of what executions wrote: above what the broker keeps and what 32 of them may write
beside it, so a pod is never evicted for it."""
_NODE_LOST_TAINTS: Final = ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")


def devbox_pod(
    devbox: Devbox, wanted: PodWanted, generation: int, settings: Settings
) -> dict[str, Any]:
    """The pod for `generation` of the journal's devbox."""
    name = devbox.metadata.name
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(name),
            "namespace": devbox.metadata.namespace,
            "labels": labels(name),
            "annotations": {GENERATION_ANNOTATION: str(generation)},
            "ownerReferences": [owner_reference(devbox)],
        },
        "spec": _spec(devbox, wanted, generation, settings),
    }


def _spec(devbox: Devbox, wanted: PodWanted, generation: int, settings: Settings) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "initContainers": [
            broker_container(
                settings,
                {
                    "RANVIER_DEVBOX_UID": devbox.metadata.uid,
                    "RANVIER_DEVBOX_NAME": devbox.metadata.name,
                    "RANVIER_NAMESPACE": devbox.metadata.namespace,
                    "RANVIER_GENERATION": str(generation),
                    "RANVIER_HOME": wanted.home.path,
                    "RANVIER_MOUNTS": json.dumps([asdict(mount) for mount in wanted.mounts]),
                },
            )
        ],
        "containers": [_devbox_container(wanted)],
        "volumes": [
            {
                "name": "home",
                "persistentVolumeClaim": {"claimName": volume_name(devbox.metadata.name)},
            },
            {"name": "io", "emptyDir": {"medium": "Memory", "sizeLimit": IO_BYTES}},
            {"name": "bin", "emptyDir": {"sizeLimit": BIN_BYTES}},
            {"name": "executions", "emptyDir": {"sizeLimit": EXECUTIONS_BYTES}},
            token_volume(),
        ],
        # With an entrypoint the end of the container is the end of the devbox.
        "restartPolicy": "Always" if wanted.entrypoint is None else "Never",
        "terminationGracePeriodSeconds": END_SECONDS,
        "serviceAccountName": settings.pod_service_account,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": wanted.user_uid,
            "runAsGroup": wanted.user_uid,
            "fsGroup": wanted.user_uid,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "tolerations": _tolerations(wanted.tolerations),
    }
    if wanted.runtime_class_name is not None:
        spec["runtimeClassName"] = wanted.runtime_class_name
    if wanted.node_selector:
        spec["nodeSelector"] = dict(wanted.node_selector)
    if wanted.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in wanted.image_pull_secrets]
    return spec


def _devbox_container(wanted: PodWanted) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "devbox",
        "image": wanted.image,
        "command": start_command(
            wanted.launch_commands, wanted.entrypoint, wanted.supplies, wanted.home.path
        ),
        "workingDir": wanted.home.path,
        "env": environment({"HOME": wanted.home.path, **wanted.env, **variables(wanted.supplies)}),
        "volumeMounts": [
            {"name": "home", "mountPath": wanted.home.path},
            {"name": "io", "mountPath": IO_DIR},
            {"name": "bin", "mountPath": BIN_DIR, "readOnly": True},
        ],
        "securityContext": restricted(),
    }
    if wanted.image_pull_policy is not None:
        container["imagePullPolicy"] = str(wanted.image_pull_policy)
    if wanted.resources:
        container["resources"] = dict(wanted.resources)
    return container


def _tolerations(wanted: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    """The user's, and a short patience with lost nodes where the user has not said otherwise."""
    own = [dict(toleration) for toleration in wanted]
    keys = {toleration.get("key") for toleration in own}
    return own + [
        {
            "key": taint,
            "operator": "Exists",
            "effect": "NoExecute",
            "tolerationSeconds": NODE_LOST_SECONDS,
        }
        for taint in _NODE_LOST_TAINTS
        if taint not in keys
    ]
