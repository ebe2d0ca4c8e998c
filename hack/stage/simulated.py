"""Simulated nodes: kwok says what a kubelet would, and nothing runs.

Pods that tolerate the taint and select the label get there. Their containers start, but a broker
there never attaches: they stay unready, unless a label says that they shall seem ready.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from kind.go_programs import build_programs
from kind.places import Places
from kind.progress import Progress
from kind.recipe import STORM_PROGRAMS
from ranvier_dev.ports import free_port

from stage.kube_calls import Kube, RawObject, each, is_ready
from stage.program import Program

LABEL: Final = "ranvier.dev/simulated"
READY_LABEL: Final = "ranvier.dev/simulated-ready"
"""A pod with it gets ready, as if its broker had attached."""
LEASE_SECONDS: Final = 40
"""A node's sign of life, as long as a kubelet's: without it its pods are soon called unready."""
NODES: Final = 5
PODS_A_NODE: Final = 400
STORAGE_CLASS: Final = "ranvier-simulated"
SELECTOR: Final = {LABEL: "true"}
TOLERATIONS: Final = [{"key": LABEL, "operator": "Exists", "effect": "NoSchedule"}]
MANAGED: Final = "kwok.x-k8s.io/node=ranvier"
"""The annotation of the nodes that our kwok looks after; it touches no others."""

_VOLUMES: Final = "/api/v1/persistentvolumes"
_CLASSES: Final = "/apis/storage.k8s.io/v1/storageclasses"
_NODES: Final = "/api/v1/nodes"

_NODE: Final = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: node-is-ready}
spec:
  resourceRef: {apiGroup: v1, kind: Node}
  selector:
    matchExpressions:
    - key: .status.conditions.[] | select( .type == "Ready" ) | .status
      operator: NotIn
      values: ["True"]
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      conditions:
      {{ range NodeConditions }}
      - type: {{ .type | Quote }}
        status: {{ .status | Quote }}
        reason: {{ .reason | Quote }}
        message: {{ .message | Quote }}
        lastHeartbeatTime: {{ $now | Quote }}
        lastTransitionTime: {{ $now | Quote }}
      {{ end }}
"""
_POD: Final = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: NAME}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: DoesNotExist}
    WHEN
  next:
    statusTemplate: |
      {{ $now := Now }}
      phase: Running
      startTime: {{ or .status.startTime $now | Quote }}
      conditions:
      - {type: Initialized, status: "True", lastTransitionTime: {{ $now | Quote }}}
      - {type: ContainersReady, status: "READY", lastTransitionTime: {{ $now | Quote }}}
      - {type: Ready, status: "READY", lastTransitionTime: {{ $now | Quote }}}
      initContainerStatuses:
      {{ range .spec.initContainers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: IS
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}}
      {{ end }}
      containerStatuses:
      {{ range .spec.containers }}
      - name: {{ .name | Quote }}
        image: {{ .image | Quote }}
        imageID: ""
        ready: true
        started: true
        restartCount: 0
        state: {running: {startedAt: {{ $now | Quote }}}}
      {{ end }}
"""
_GONE: Final = """\
apiVersion: kwok.x-k8s.io/v1alpha1
kind: Stage
metadata: {name: gone-when-deleted}
spec:
  resourceRef: {apiGroup: v1, kind: Pod}
  selector:
    matchExpressions:
    - {key: .metadata.deletionTimestamp, operator: Exists}
  next:
    finalizers: {empty: true}
    delete: true
"""
_STARTS: Final = "- {key: .status.startTime, operator: DoesNotExist}"
_TOLD: Final = f"""\
- {{key: '.metadata.labels["{READY_LABEL}"]', operator: Exists}}
    - {{key: '.status.initContainerStatuses.[].ready', operator: NotIn, values: ["true"]}}"""


def stages() -> str:
    """kwok's file: nodes are ready; pods start and stay unready until their label says otherwise,
    and go when they are deleted."""
    pods = [
        _POD.replace("NAME", name).replace("WHEN", when).replace("READY", word).replace("IS", flag)
        for name, when, word, flag in (
            ("starts-unready", _STARTS, "False", "false"),
            ("gets-ready", _TOLD, "True", "true"),
        )
    ]
    return "---\n".join([_NODE, *pods, _GONE])


def programs(places: Places) -> dict[str, Path]:
    """kwok and the neighbour's controller, built once."""
    return build_programs(STORM_PROGRAMS.values(), places, Progress())


def node(number: int) -> RawObject:
    """A node with room for many pods and none that does not ask for it."""
    name, _, value = MANAGED.partition("=")
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": f"simulated-{number}",
            "labels": {**SELECTOR, "kubernetes.io/os": "linux"},
            "annotations": {name: value},
        },
        "spec": {"taints": [{"key": LABEL, "value": "true", "effect": "NoSchedule"}]},
        "status": {
            part: {"cpu": "1000", "memory": "1Ti", "pods": str(PODS_A_NODE)}
            for part in ("capacity", "allocatable")
        },
    }


def volume(name: str, namespace: str, claim: str) -> RawObject:
    """A volume that waits for one claim. Nothing is behind it, as nothing mounts it."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "labels": dict(SELECTOR)},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": STORAGE_CLASS,
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": "/nowhere"},
        },
    }


def storage_class() -> RawObject:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": STORAGE_CLASS},
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "Immediate",
    }


class SimulatedNodes(Program):
    """Context manager: kwok as a process. The nodes themselves: `make` and `remove`."""

    def __init__(self, env: Mapping[str, str], program: Path) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="ranvier-kwok-")
        file = Path(self._folder.name) / "stages.yaml"
        file.write_text(stages())
        argv = [
            str(program),
            f"--kubeconfig={env['KUBECONFIG']}",
            f"--config={file}",
            f"--manage-nodes-with-annotation-selector={MANAGED}",
            "--manage-all-nodes=false",
            f"--node-lease-duration-seconds={LEASE_SECONDS}",
            f"--server-address=127.0.0.1:{free_port()}",
        ]
        super().__init__(argv, env)

    def end(self) -> None:
        super().end()
        self._folder.cleanup()

    async def make(self, kube: Kube, volumes: Mapping[str, tuple[str, str]]) -> None:
        """Nodes, and a volume for each (namespace, claim) by its name."""
        await kube.apply(_CLASSES, storage_class())
        for number in range(NODES):
            await kube.apply(_NODES, node(number))

        async def one(name: str) -> None:
            await kube.apply(_VOLUMES, volume(name, *volumes[name]))

        await each(volumes, one)

    async def is_ready(self, kube: Kube) -> bool:
        """Whether every node says that it is."""
        nodes = await kube.items(_NODES, labelSelector=f"{LABEL}=true")
        return len(nodes) == NODES and all(map(is_ready, nodes))


async def remove(kube: Kube) -> None:
    """Nodes, volumes and class, also those that an interrupted run left."""
    for path in (_VOLUMES, _NODES):
        await kube.delete(path, labelSelector=f"{LABEL}=true")
    await kube.delete(f"{_CLASSES}/{STORAGE_CLASS}")
