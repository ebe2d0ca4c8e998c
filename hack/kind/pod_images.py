"""The images of a cluster's own pods, packed into one OCI archive.

kubeadm asks for its images by name; what is in them is our business. Each is one program and the
libraries it is linked to. Layers are written in a fixed order with no times, and equal layers are
stored once.
"""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from kind.oci_archive import ZSTD_LAYER, Blob, digest_of, oci_archive, platform
from kind.processes import answer
from kind.recipe import IMAGE_VERSIONS, KUBERNETES

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Entries of /etc/passwd that the pods' security contexts name.
_USERS = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534:nobody:/:/sbin/nologin\n"

REGISTRY = "registry.k8s.io"
BUSYBOX_IMAGE = "ranvier.local/busybox:1"
STORAGE_IMAGE = "ranvier.local/local-path-provisioner:1"


@dataclass
class Layer:
    """Files of one layer: path in the image → file on this machine, text, or (as a link) another
    name."""

    files: dict[str, Path] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: dict[str, int] = field(default_factory=dict)

    def packed(self) -> bytes:
        """The layer as tar: parents before children, everything owned by root, no times."""
        entries = sorted({*self.files, *self.texts, *self.links, *self.folders})
        parents = {str(parent) for entry in entries for parent in PurePosixPath(entry).parents}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for name in sorted({*entries, *parents} - {"/"}):
                self._add(tar, name)
        return buffer.getvalue()

    def _add(self, tar: tarfile.TarFile, name: str) -> None:
        info = tarfile.TarInfo(name.removeprefix("/"))
        if name in self.links:
            info.type, info.linkname = tarfile.SYMTYPE, self.links[name]
            tar.addfile(info)
        elif name in self.files or name in self.texts:
            data = (
                self.files[name].read_bytes() if name in self.files else self.texts[name].encode()
            )
            info.size, info.mode = len(data), 0o755 if name in self.files else 0o644
            tar.addfile(info, io.BytesIO(data))
        else:
            info.type, info.mode = tarfile.DIRTYPE, self.folders.get(name, 0o755)
            tar.addfile(info)


@dataclass(frozen=True)
class PodImage:
    reference: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...] = ()


def pod_images(programs: dict[str, Path], pause: Path, root: Path) -> list[PodImage]:
    """Every image a new cluster's pods ask for. Libraries come from the node's Debian `root`."""
    base = Layer(texts={"/etc/passwd": _USERS}, folders={"/tmp": 0o1777})
    base.files |= libraries(
        root, ["/usr/bin/kubelet"]
    )  # those of the other Kubernetes programs are the same

    def program(name: str) -> Layer:
        return Layer({f"/usr/local/bin/{name}": programs[name]})

    images = [
        PodImage(f"{REGISTRY}/{name}:v{KUBERNETES}", (base, program(name)))
        for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    ]
    proxy = program("kube-proxy")
    _add_packet_filter(proxy, root)
    images.append(PodImage(f"{REGISTRY}/kube-proxy:v{KUBERNETES}", (base, proxy)))
    images.append(PodImage(f"{REGISTRY}/etcd:{IMAGE_VERSIONS['etcd']}", (base, program("etcd"))))
    images.append(
        _single("coredns", f"{REGISTRY}/coredns/coredns:{IMAGE_VERSIONS['coredns']}", base, program)
    )
    images.append(
        PodImage(
            f"{REGISTRY}/pause:{IMAGE_VERSIONS['pause']}",
            (Layer({"/usr/local/bin/pause": pause}),),
            ("/usr/local/bin/pause",),
        )
    )
    images.append(_single("local-path-provisioner", STORAGE_IMAGE, base, program))
    images.append(PodImage(BUSYBOX_IMAGE, (base, _busybox(root))))
    return images


def _single(name: str, reference: str, base: Layer, program: Any) -> PodImage:
    return PodImage(reference, (base, program(name)), (f"/usr/local/bin/{name}",))


def libraries(root: Path, programs: Iterable[str]) -> dict[str, Path]:
    """Shared libraries (and the loader) that programs of a tree are linked to, resolved inside that
    tree."""
    found: dict[str, Path] = {}
    for program in programs:
        said = subprocess.run(
            ["chroot", root, "ldd", program], capture_output=True, text=True, check=False
        )
        for word in said.stdout.split():
            if word.startswith("/") and not word.endswith(":"):
                found[word] = inside(root, word)
    return found


def inside(root: Path, path: str) -> Path:
    """The file a path means to someone whose root is `root`: absolute links stay inside."""
    return root / answer(["chroot", root, "readlink", "--canonicalize", path]).strip().removeprefix(
        "/"
    )


def _add_packet_filter(layer: Layer, root: Path) -> None:
    """kube-proxy runs iptables. Its plugins are loaded by name and are linked to more than it is
    (libm)."""
    plugins = [f"/{path.relative_to(root)}" for path in sorted(root.glob("usr/lib/*/xtables/*.so"))]
    tools = ["/usr/sbin/xtables-nft-multi", "/usr/sbin/nft", "/usr/sbin/conntrack"]
    layer.files |= {path: inside(root, path) for path in (*plugins, *tools)}
    layer.files |= libraries(root, [*tools, *plugins])
    for family in ("iptables", "ip6tables"):
        layer.links |= {
            f"/usr/sbin/{family}{verb}": "xtables-nft-multi" for verb in ("", "-save", "-restore")
        }


def _busybox(root: Path) -> Layer:
    """A shell for the pods that run scripts. Debian's dynamic busybox: the static one fails on name
    look-ups."""
    layer = Layer({"/bin/busybox": inside(root, "/bin/busybox")})
    layer.files |= libraries(root, ["/bin/busybox"])
    applets = answer(["chroot", root, "/bin/busybox", "--list"]).split()
    layer.links |= {f"/bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    return layer


def write_archive(images: Iterable[PodImage], target: Path) -> None:
    """Write all images into one archive that `ctr images import` reads."""
    packed: dict[int, tuple[str, Blob]] = {}
    with oci_archive(target) as archive:
        for image in images:
            for layer in image.layers:
                if id(layer) not in packed:
                    tar = layer.packed()
                    packed[id(layer)] = (
                        digest_of(tar),
                        archive.add_blob(_compressed(tar), ZSTD_LAYER),
                    )
            config = {
                **platform(),
                "created": "1970-01-01T00:00:00Z",
                "config": {"Entrypoint": list(image.entrypoint) or None, "Env": [_PATH]},
                "rootfs": {"type": "layers", "diff_ids": [packed[id(x)][0] for x in image.layers]},
            }
            layers = [packed[id(layer)][1] for layer in image.layers]
            archive.add_image(image.reference, json.dumps(config).encode(), layers)


def _compressed(data: bytes) -> bytes:
    # Level 3 on all cores: a better level makes every cluster start wait for nothing.
    command = ["zstd", "--quiet", "-3", "-T0", "--stdout"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
