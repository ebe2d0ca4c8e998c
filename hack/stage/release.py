"""Installs the product on the cluster as a user would: images onto the nodes, then the Helm chart.

Idempotent: what did not change is not built or loaded again; the chart is upgraded in place.
"""

import base64
import json
import subprocess
from collections.abc import Mapping

from stage.shell import ROOT, CommandFailed, read, run

RELEASE = "ranvier"
NAMESPACE = "ranvier-system"
IMAGE = "ranvier/ranvier:dev"
ROLLOUT_SECONDS_MAX = 180


class ReleaseFailed(Exception):
    """The product could not be installed; the message has the program's last words."""


def deploy(env: Mapping[str, str], *, every_agent: bool = False) -> None:
    """Build, load and install; returns when operator and API server are ready. `every_agent`: the
    images of all agents, not of opencode alone."""
    which = ["--all"] if every_agent else []
    if run([ROOT / "hack" / "images", "build", *which], env) != 0:
        raise ReleaseFailed("hack/images build failed (see above)")
    images = read([ROOT / "hack" / "images", "list", *which], env).split()
    if run([ROOT / "hack" / "cluster", "load", *images], env) != 0:
        raise ReleaseFailed("hack/cluster load failed (see above)")
    install_chart(env)


def install_chart(env: Mapping[str, str]) -> None:
    """helm upgrade --install; an annotation holds the image's content, so new code rolls out."""
    image_id = read(["docker", "image", "inspect", "-f", "{{.Id}}", IMAGE], env).strip()
    print(f"· helm upgrade --install {RELEASE} (namespace {NAMESPACE})", flush=True)
    try:
        read(["kubectl", "apply", "--server-side", "--force-conflicts", "-f", "crds/"], env)
        read(
            [
                *("helm", "upgrade", "--install", RELEASE, "charts/ranvier"),
                *("--namespace", NAMESPACE, "--create-namespace"),
                *("--set", "image.tag=dev", "--set", "image.pullPolicy=IfNotPresent"),
                *("--set-string", f"podAnnotations.ranvier\\.dev/image-id={image_id}"),
                *("--wait", "--timeout", f"{ROLLOUT_SECONDS_MAX}s"),
            ],
            env,
        )
    except CommandFailed as failure:
        raise ReleaseFailed(f"{failure}\n{_pods(env)}") from failure


def _pods(env: Mapping[str, str]) -> str:
    """What the release's pods say, for the error message."""
    argv = ["kubectl", "-n", NAMESPACE, "get", "pods", "-o", "wide"]
    return subprocess.run(argv, env=env, capture_output=True, text=True, check=False).stdout


def api_key(env: Mapping[str, str]) -> str:
    """The API key that the chart made."""
    secret = json.loads(
        read(["kubectl", "-n", NAMESPACE, "get", "secret", f"{RELEASE}-api-key", "-o", "json"], env)
    )
    values = list(secret["data"].values())
    return base64.b64decode(values[0]).decode().split()[0]
