"""Settings of the operator, read once from the environment.

Each has a default that fits the Helm chart, and its reason below it. Numbers that keep a promise
(lease times, the journal's resync) are constants beside their code and no settings.
"""

import os
import socket
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

HELP = """\
environment:
  RANVIER_API_URL                  the API server (http://ranvier-apiserver)
  RANVIER_BROKER_API_URL           the same, as brokers reach it (RANVIER_API_URL)
  RANVIER_TOKEN_FILE               the operator's token for it (/var/run/secrets/ranvier/token)
  RANVIER_BROKER_IMAGE             image of the sidecar `ranvier-broker` (ranvier:latest)
  RANVIER_BROKER_IMAGE_PULL_POLICY when a node asks for it (IfNotPresent)
  RANVIER_POD_SERVICE_ACCOUNT      ServiceAccount of devbox pods; it needs no rights (default)
  RANVIER_WATCH_NAMESPACES         namespaces whose resources are served, with commas (every one)
  RANVIER_NAMESPACE                where the lease lives (the pod's own, else default)
  RANVIER_LEASE_NAME               shared by the replicas of one installation (ranvier-operator)
  RANVIER_IDENTITY                 who holds the lease (the host's name and a random part)
  RANVIER_WORKERS                  devboxes that are worked on at the same time (32)
  RANVIER_PROBE_PORT               port of /healthz, /readyz and /metrics (8081)
  RANVIER_LOG_LEVEL                DEBUG, INFO, WARNING or ERROR (INFO)
"""

_NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


@dataclass(frozen=True, slots=True)
class Settings:
    """What may differ between installations."""

    api_url: str = "http://ranvier-apiserver"
    """RANVIER_API_URL: Ranvier's API server, as the operator reaches it."""

    broker_api_url: str = ""
    """RANVIER_BROKER_API_URL: the same as brokers in other namespaces reach it; `api_url` where
    empty."""

    token_file: str = "/var/run/secrets/ranvier/token"
    """RANVIER_TOKEN_FILE: the operator's own token for the API server (audience `ranvier`)."""

    broker_image: str = "ranvier:latest"
    """RANVIER_BROKER_IMAGE: the product image; its `ranvier-broker` runs beside every agent."""

    broker_image_pull_policy: str = "IfNotPresent"
    """RANVIER_BROKER_IMAGE_PULL_POLICY: the image's tag is a version, so a node need not ask
    twice."""

    pod_service_account: str = "default"
    """RANVIER_POD_SERVICE_ACCOUNT: ServiceAccount of devbox pods. It needs no rights: the broker's
    identity is the pod that its token is bound to."""

    namespaces: tuple[str, ...] = ()
    """RANVIER_WATCH_NAMESPACES: comma-separated; every namespace where empty."""

    own_namespace: str = "default"
    """RANVIER_NAMESPACE: where the lease lives; from the pod's own ServiceAccount where not set."""

    lease_name: str = "ranvier-operator"
    """RANVIER_LEASE_NAME: replicas of one installation share it."""

    identity: str = "operator"
    """RANVIER_IDENTITY: who holds the lease; the host name and a random part, so that a restarted
    process is never taken for its predecessor."""

    workers: int = 32
    """RANVIER_WORKERS: devboxes that are worked on at the same time, and threads for API calls."""

    probe_port: int = 8081
    """RANVIER_PROBE_PORT: /healthz and /readyz, and /metrics for Prometheus."""

    log_level: str = "INFO"
    """RANVIER_LOG_LEVEL."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] = os.environ) -> Self:
        """Settings from RANVIER_* variables; what is not set keeps its default."""
        default = cls()
        api_url = env.get("RANVIER_API_URL", default.api_url).rstrip("/")
        namespaces = env.get("RANVIER_WATCH_NAMESPACES", "").split(",")
        return cls(
            api_url=api_url,
            broker_api_url=env.get("RANVIER_BROKER_API_URL", "").rstrip("/") or api_url,
            token_file=env.get("RANVIER_TOKEN_FILE", default.token_file),
            broker_image=env.get("RANVIER_BROKER_IMAGE", default.broker_image),
            broker_image_pull_policy=env.get(
                "RANVIER_BROKER_IMAGE_PULL_POLICY", default.broker_image_pull_policy
            ),
            pod_service_account=env.get("RANVIER_POD_SERVICE_ACCOUNT", default.pod_service_account),
            namespaces=tuple(name.strip() for name in namespaces if name.strip()),
            own_namespace=env.get("RANVIER_NAMESPACE") or _own_namespace() or default.own_namespace,
            lease_name=env.get("RANVIER_LEASE_NAME", default.lease_name),
            identity=env.get("RANVIER_IDENTITY")
            or f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}",
            workers=int(env.get("RANVIER_WORKERS", default.workers)),
            probe_port=int(env.get("RANVIER_PROBE_PORT", default.probe_port)),
            log_level=env.get("RANVIER_LOG_LEVEL", default.log_level).upper(),
        )


def _own_namespace() -> str:
    try:
        with open(_NAMESPACE_FILE, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
