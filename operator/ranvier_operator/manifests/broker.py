"""The broker's container: a native sidecar with the pod's only identity. PURE.

It is an init container that restarts always, so it runs before the agent's container starts and
until after that one ended.
"""

from collections.abc import Mapping
from typing import Any, Final

from ranvier_operator.resolution import SecretEntry
from ranvier_operator.settings import Settings

IO_DIR: Final = "/ranvier/io"
"""Named pipes between broker and launcher, in memory."""
BIN_DIR: Final = "/ranvier/bin"
"""The launcher; the broker writes it, the agent's container only reads it."""
EXECUTIONS_DIR: Final = "/ranvier/executions"
"""Output of executions; the broker's alone, kept as long as the pod."""
HOME_DIR: Final = "/ranvier/home"
"""The home volume, read-only: whether it is full only the sidecar can tell."""
TOKEN_DIR: Final = "/var/run/secrets/ranvier"
TOKEN_AUDIENCE: Final = "ranvier"
TOKEN_SECONDS: Final = 3600
"""Life of a token; the kubelet replaces it when four fifths have passed."""
READY_PORT: Final = 8089
READY_SECONDS: Final = 1
"""How often the kubelet asks whether the broker is attached; part of every wake's latency."""
BROKER_RESOURCES: Final = {
    "requests": {"cpu": "10m", "memory": "64Mi"},
    "limits": {"memory": "512Mi"},
}
"""Measured at rest with room to spare; the limit holds several payloads of the largest size."""


def broker_container(settings: Settings, identity: Mapping[str, str]) -> dict[str, Any]:
    """`identity` are the variables that tell this broker which devbox it serves."""
    variables = environment(
        {
            "RANVIER_API_URL": settings.broker_api_url or settings.api_url,
            **identity,
            "RANVIER_TOKEN_FILE": f"{TOKEN_DIR}/token",
            "RANVIER_IO_DIR": IO_DIR,
            "RANVIER_BIN_DIR": BIN_DIR,
            "RANVIER_EXECUTIONS_DIR": EXECUTIONS_DIR,
            "RANVIER_HOME_DIR": HOME_DIR,
            "RANVIER_READY_PORT": str(READY_PORT),
        }
    )
    pod_uid = {
        "name": "RANVIER_POD_UID",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}},
    }
    return {
        "name": "broker",
        "image": settings.broker_image,
        "imagePullPolicy": settings.broker_image_pull_policy,
        "command": ["ranvier-broker"],
        "restartPolicy": "Always",
        "env": [*variables, pod_uid],
        "ports": [{"name": "ready", "containerPort": READY_PORT, "protocol": "TCP"}],
        "readinessProbe": {
            "httpGet": {"path": "/readyz", "port": READY_PORT},
            "periodSeconds": READY_SECONDS,
            "timeoutSeconds": 1,
            "failureThreshold": 3,
        },
        "resources": {name: dict(amounts) for name, amounts in BROKER_RESOURCES.items()},
        "volumeMounts": [
            {"name": "io", "mountPath": IO_DIR},
            {"name": "bin", "mountPath": BIN_DIR},
            {"name": "executions", "mountPath": EXECUTIONS_DIR},
            {"name": "home", "mountPath": HOME_DIR, "readOnly": True},
            {"name": "token", "mountPath": TOKEN_DIR, "readOnly": True},
        ],
        "securityContext": {**restricted(), "readOnlyRootFilesystem": True},
    }


def token_volume() -> dict[str, Any]:
    """The token that says which pod its bearer is; mounted by the broker alone."""
    source = {
        "serviceAccountToken": {
            "audience": TOKEN_AUDIENCE,
            "expirationSeconds": TOKEN_SECONDS,
            "path": "token",
        }
    }
    return {"name": "token", "projected": {"sources": [source]}}


def restricted() -> dict[str, Any]:
    """What PodSecurity `restricted` asks of each container."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def environment(variables: Mapping[str, str | SecretEntry]) -> list[dict[str, Any]]:
    """Variables that arrive as they are, those in Secrets too."""
    return [{"name": name, **_value(value)} for name, value in variables.items()]


def literal(text: str) -> str:
    """Text that arrives as it is: `$(NAME)` means something to Kubernetes, `$$` is a `$`."""
    return text.replace("$", "$$")


def _value(value: str | SecretEntry) -> dict[str, Any]:
    if isinstance(value, SecretEntry):
        return {"valueFrom": {"secretKeyRef": {"name": value.name, "key": value.key}}}
    return {"value": literal(value)}
