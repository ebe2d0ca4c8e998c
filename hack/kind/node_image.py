"""The image kind's nodes run: the stock one where it can be pulled, else one of our own.

Ours is a Debian with systemd, a kubelet, containerd, and the pods' images already in containerd's
store. It is made without any build container: the tree is put together in a folder, the machine's
own run of containerd fills the store below it, and `docker import` takes the whole.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from kind import debian
from kind.cache import content_key, tree_key
from kind.debian_root import DebianRoot, build_root
from kind.docker_daemon import Docker
from kind.errors import CommandFailed, Failure
from kind.go_programs import build_programs, program_path
from kind.node_tree import NODE_FILES, build_pause, place_files
from kind.places import Places
from kind.pod_images import pod_images, write_archive
from kind.processes import answer, succeeds, tail
from kind.progress import Progress
from kind.recipe import KUBERNETES, NODE_PROGRAMS, STOCK_NODE_IMAGE
from kind.runtime_wrapper import is_missing as resource_capability_is_missing

REPOSITORY = "ranvier.local/kind-node"
# An image registry that is there answers within a second or two; where none is, names do not even
# resolve.
REGISTRY_SECONDS_MAX = 15.0
CONTAINERD_SECONDS_MAX = 20.0

NODE_ROOT = DebianRoot(
    "node",
    (
        *(
            "systemd",
            "systemd-sysv",
            "iproute2",
            "iptables",
            "nftables",
            "conntrack",
            "ethtool",
            "mount",
        ),
        *(
            "procps",
            "kmod",
            "ca-certificates",
            "containernetworking-plugins",
            "libseccomp2",
            "busybox",
        ),
    ),
)

# Written by an import, not by a running pod: kubelet's image collection must keep them.
_IMPORT_LABELS = ("io.cri-containerd.pinned=pinned", "io.cri-containerd.image=managed")


def node_image(
    docker: Docker,
    places: Places,
    progress: Progress,
    environment: Mapping[str, str] = os.environ,
) -> str:
    """The image to give to `kind create cluster`, present in `docker`. RANVIER_NODE_IMAGE overrides
    the choice."""
    chosen = environment.get("RANVIER_NODE_IMAGE")
    if chosen:
        return chosen
    own = f"{REPOSITORY}:v{KUBERNETES}-{own_image_key(places)}"
    if docker.has_image(STOCK_NODE_IMAGE):
        return STOCK_NODE_IMAGE
    if docker.has_image(own):
        progress.cached(f"node image {own}")
        return own
    if stock_image_runs(
        docker.cgroup_version, resource_capability_is_missing()
    ) and _registry_answers(docker):
        with progress.step(f"pulling {STOCK_NODE_IMAGE.partition('@')[0]}"):
            docker.ask("pull", STOCK_NODE_IMAGE)
        return STOCK_NODE_IMAGE
    _build(own, docker, places, progress)
    return own


def stock_image_runs(cgroup_version: str, capability_is_missing: bool) -> bool:
    """Whether this machine can run the stock image: its kubelet refuses cgroup v1, its units raise
    limits."""
    return cgroup_version == "2" and not capability_is_missing


def own_image_key(places: Places) -> str:
    """A key of everything our image is made of, the code that makes it included."""
    code = Path(__file__).parent
    return content_key(
        NODE_ROOT.key,
        tree_key(
            NODE_FILES,
            code / "node_image.py",
            code / "node_tree.py",
            code / "pod_images.py",
            code / "oci_archive.py",
        ),
        *(program_path(places, program).name for program in NODE_PROGRAMS.values()),
    )


def _registry_answers(docker: Docker) -> bool:
    command = ["docker", "manifest", "inspect", STOCK_NODE_IMAGE]
    return succeeds(command, environment=docker.environment, seconds_max=REGISTRY_SECONDS_MAX)


def _build(reference: str, docker: Docker, places: Places, progress: Progress) -> None:
    if os.geteuid() != 0:
        raise Failure(
            f"{STOCK_NODE_IMAGE} cannot be used here, and building a node image takes root",
            "run this as root on Debian, or load a node image and name it in RANVIER_NODE_IMAGE",
        )
    debian.ensure_builders(places, progress)
    programs = build_programs(NODE_PROGRAMS.values(), places, progress)
    pause = build_pause(places)
    packed_root = build_root(NODE_ROOT, places, progress)
    with tempfile.TemporaryDirectory(dir=places.cache, prefix=".building-") as folder:
        root, archive = Path(folder, "root"), Path(folder, "images.tar")
        with progress.step("putting the node's files together"):
            root.mkdir()
            answer(["tar", "-C", root, "-xf", packed_root, "--exclude=./dev/*"])
            place_files(root, programs)
        with progress.step("packing the pods' images"):
            write_archive(pod_images(programs, pause, root), archive)
        with (
            progress.step("filling the node's image store"),
            _containerd(programs, root, Path(folder)) as ctr,
        ):
            labels = [word for label in _IMPORT_LABELS for word in ("--label", label)]
            answer([*ctr, "-n", "k8s.io", "images", "import", "--no-unpack", *labels, archive])
        with progress.step(f"importing {reference}"):
            _import(root, reference, docker, places.logs / "node-image.log")
    _remove_older(reference, docker)


@contextmanager
def _containerd(
    programs: Mapping[str, Path], root: Path, folder: Path
) -> Iterator[list[str | Path]]:
    """A containerd whose store is the node's. Gives the `ctr` command that talks to it."""
    socket, config, log = folder / "s", folder / "containerd.toml", folder / "containerd.log"
    disabled = ("grpc.v1.cri", "cri.v1.images", "cri.v1.runtime", "nri.v1.nri", "internal.v1.opt")
    config.write_text(
        f'version = 3\nroot = "{root}/var/lib/containerd"\nstate = "{folder}/state"\n'
        f"disabled_plugins = {[f'io.containerd.{name}' for name in disabled]}\n"
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{folder}/t"\n'
    )
    with log.open("wb") as sink:
        process = subprocess.Popen(
            [programs["containerd"], "-c", config], stdout=sink, stderr=sink, start_new_session=True
        )
    try:
        ctr: list[str | Path] = [programs["ctr"], "-a", socket]
        deadline = time.monotonic() + CONTAINERD_SECONDS_MAX
        while not (socket.exists() and succeeds([*ctr, "version"])):
            if process.poll() is not None or time.monotonic() > deadline:
                raise CommandFailed(["containerd"], process.poll() or -1, tail(log.read_text()))
            time.sleep(0.05)
        yield ctr
    finally:
        process.terminate()
        process.wait()


def _import(root: Path, reference: str, docker: Docker, log: Path) -> None:
    changes = (
        "ENV container=docker",
        "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        'ENTRYPOINT ["/usr/local/bin/entrypoint","/sbin/init"]',
    )
    words = [word for change in changes for word in ("--change", change)]
    with subprocess.Popen(
        ["tar", "-C", root, "--numeric-owner", "-cf", "-", "."], stdout=subprocess.PIPE
    ) as tar:
        imported = subprocess.run(
            ["docker", "import", *words, "-", reference],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            env={**os.environ, **docker.environment},
            check=False,
        )
    if imported.returncode != 0 or tar.returncode != 0:
        raise CommandFailed(
            ["docker", "import", reference], imported.returncode, tail(imported.stderr)
        )
    log.write_text(imported.stdout)


def _remove_older(reference: str, docker: Docker) -> None:
    """Images of older recipes: nothing asks for them again. One that a cluster uses stays."""
    listed = docker.ask("images", REPOSITORY, "--format", "{{.Repository}}:{{.Tag}}").split()
    for old in listed:
        if old != reference:
            succeeds(["docker", "rmi", old], environment=docker.environment)
