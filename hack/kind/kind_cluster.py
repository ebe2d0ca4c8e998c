"""Creating, checking, loading and deleting our kind cluster."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kind.docker_daemon import Docker
from kind.errors import CommandFailed, Failure
from kind.image_transfer import missing_images, transfer
from kind.places import Places
from kind.processes import answer, lines_of, run_logged
from kind.progress import Progress
from kind.target import ClusterRecord, api_answers, write_record
from kind.tools import tool

# Creation takes 15 to 20 s on two idle cores; this is for busy ones.
READY_SECONDS_MAX = 180
NODES_MAX = 10
# Namespaces whose pods a test may rely on from its first line.
SYSTEM_NAMESPACES = ("kube-system", "local-path-storage")


def kind_config(nodes: int) -> str:
    """kind's cluster description, as JSON (which is YAML). One control plane; the others are
    workers."""
    etcd_without_fsync = {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        # A development cluster survives no power cut anyway; without fsync the disk is left to the
        # tests.
        "etcd": {"local": {"extraArgs": [{"name": "unsafe-no-fsync", "value": "true"}]}},
    }
    config: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "kubeadmConfigPatches": [json.dumps(etcd_without_fsync)],
        "nodes": [{"role": "control-plane"}, *({"role": "worker"} for _ in range(nodes - 1))],
    }
    return json.dumps(config, indent=2)


def node_names(docker: Docker, places: Places, cluster: str) -> list[str]:
    """Node containers of a cluster, running or not. Empty when there is no such cluster."""
    command: list[str | Path] = [tool(places, "kind"), "get", "nodes", "--name", cluster]
    return [line for line in lines_of(command, environment=docker.environment) if " " not in line]


def is_healthy(docker: Docker, places: Places, record: ClusterRecord) -> bool:
    """Whether the cluster of the record runs: its containers are there and its API answers."""
    return (
        places.kubeconfig.exists()
        and len(node_names(docker, places, record.name)) == record.nodes
        and api_answers(places, places.kubeconfig)
    )


def create(record: ClusterRecord, docker: Docker, places: Places, progress: Progress) -> None:
    """Create the cluster; when that fails nothing of it is left."""
    log = places.logs / "kind-create.log"
    log.unlink(missing_ok=True)
    config = places.state / "kind-config.json"
    config.write_text(kind_config(record.nodes))
    command: list[str | Path] = [
        *(
            tool(places, "kind"),
            "create",
            "cluster",
            "--name",
            record.name,
            "--image",
            record.image,
        ),
        *("--config", config, "--kubeconfig", places.kubeconfig),
    ]
    write_record(places, record)
    nodes = f"{record.nodes} node{'s' if record.nodes > 1 else ''}"
    try:
        with progress.step(f"creating the cluster {record.name} ({nodes})"):
            run_logged(command, log, environment=docker.environment)
    except CommandFailed as failed:
        raise Failure(
            f"kind could not create the cluster:\n{failed.output}",
            f"see {log}; then `hack/cluster down` and `hack/cluster up`",
        ) from failed
    places.kubeconfig.chmod(0o600)


def wait_until_ready(places: Places, progress: Progress) -> None:
    """Nodes Ready, then every system pod Ready, and the account that pods of tests run under is
    there."""
    with progress.step("waiting for the nodes"):
        _wait(places, "--for=condition=Ready", "node", "--all")
        _wait(places, "--for=create", "serviceaccount/default", "--namespace=default")
    with progress.step("waiting for the system's pods"):
        for namespace in _present(places):
            _wait(
                places,
                "--for=condition=Available",
                "deployment",
                "--all",
                f"--namespace={namespace}",
            )
            _wait(places, "--for=condition=Ready", "pod", "--all", f"--namespace={namespace}")


def delete(name: str, docker: Docker, places: Places, progress: Progress) -> None:
    """Delete the cluster and, when no other kind cluster uses it, kind's network."""
    kind = tool(places, "kind")
    with progress.step(f"deleting the cluster {name}"):
        command: list[str | Path] = [
            kind,
            "delete",
            "cluster",
            "--name",
            name,
            "--kubeconfig",
            places.kubeconfig,
        ]
        answer(command, environment=docker.environment)
        clusters = lines_of([kind, "get", "clusters"], environment=docker.environment)
        if not any(" " not in line for line in clusters):
            _remove_network(docker)
    places.kubeconfig.unlink(missing_ok=True)
    write_record(places, None)


def load(
    images: Sequence[str], cluster: str, docker: Docker, places: Places, progress: Progress
) -> None:
    """Copy images from Docker to every node that does not have that very image yet."""
    unknown = [image for image in images if not docker.has_image(image)]
    if unknown:
        raise Failure(
            f"Docker has no image {', '.join(unknown)}",
            "`hack/images build` makes ours; `docker pull` fetches others",
        )
    wanted = {
        image: docker.ask("image", "inspect", "--format", "{{.Id}}", image).strip()
        for image in images
    }
    nodes = node_names(docker, places, cluster)
    if not nodes:
        raise Failure(
            f"there is no kind cluster {cluster}", "`kind get clusters` lists those there are"
        )
    listings = [docker.ask("exec", node, "crictl", "images", "--output=json") for node in nodes]
    missing = missing_images(wanted, listings)
    present = [image for image in images if image not in missing]
    if present:
        progress.cached(f"on every node: {', '.join(present)}")
    if missing:
        with progress.step(f"loading {', '.join(missing)}"):
            _copy(missing, nodes, cluster, docker, places)


def _copy(
    images: Sequence[str], nodes: Sequence[str], cluster: str, docker: Docker, places: Places
) -> None:
    """Copy what the nodes lack; should a node not take that, copy the whole as kind does."""
    try:
        transfer(images, nodes, docker, places)
    except CommandFailed:
        command: list[str | Path] = [
            tool(places, "kind"),
            "load",
            "docker-image",
            "--name",
            cluster,
        ]
        log = places.logs / "kind-load.log"
        run_logged([*command, *images], log, environment=docker.environment)


def _present(places: Places) -> list[str]:
    """Those of the system's namespaces this cluster has (the stock node image has the same two)."""
    names = _kubectl(places, "get", "namespaces", "--output=name").split()
    return [name for name in SYSTEM_NAMESPACES if f"namespace/{name}" in names]


def _wait(places: Places, *words: str) -> None:
    try:
        _kubectl(places, "wait", f"--timeout={READY_SECONDS_MAX}s", *words)
    except CommandFailed as failed:
        raise Failure(
            f"the cluster is there, but not ready after {READY_SECONDS_MAX} s:\n{failed.output}",
            '`eval "$(hack/cluster env)"; kubectl get pods -A` shows what is missing',
        ) from failed


def _kubectl(places: Places, *words: str) -> str:
    return answer([tool(places, "kubectl"), "--kubeconfig", places.kubeconfig, *words])


def _remove_network(docker: Docker) -> None:
    try:
        docker.ask("network", "rm", "kind")
    except CommandFailed:
        return  # never made, or another container is in it
