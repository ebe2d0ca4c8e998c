"""The files of a node: our programs, units and settings on top of a Debian."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from kind.cache import published, tree_key
from kind.places import Places
from kind.processes import answer
from kind.recipe import KUBERNETES

NODE_FILES = Path(__file__).parent / "node"

# Where each file of hack/kind/node goes, and its mode.
_PLACED = {
    "entrypoint": ("usr/local/bin/entrypoint", 0o755),
    "kubelet-cgroups": ("kind/bin/kubelet-cgroups", 0o755),
    "pod-routes": ("kind/bin/pod-routes", 0o755),
    "default-cni.yaml": ("kind/manifests/default-cni.yaml", 0o644),
    "default-storage.yaml": ("kind/manifests/default-storage.yaml", 0o644),
    "cni.json.template": ("kind/cni.json.template", 0o644),
    "containerd.service": ("etc/systemd/system/containerd.service", 0o644),
    "kubelet.service": ("etc/systemd/system/kubelet.service", 0o644),
    "kubelet.conf": ("etc/kubernetes/kubelet.conf.d/10-node.conf", 0o644),
    "containerd.toml": ("etc/containerd/config.toml", 0o644),
    "crictl.yaml": ("etc/crictl.yaml", 0o644),
    "sysctl.conf": ("etc/sysctl.d/99-node.conf", 0o644),
}
_PROGRAMS = {
    "usr/local/bin": ("containerd", "containerd-shim-runc-v2", "ctr", "crictl"),
    "usr/local/sbin": ("runc",),
    "usr/bin": ("kubelet", "kubeadm", "kubectl"),
}
# Units that want devices, a login or the machine's journal.
_UNWANTED_LINKS = (
    "etc/systemd/system/*.wants/*",
    "lib/systemd/system/multi-user.target.wants/*",
    "lib/systemd/system/*.target.wants/*udev*",
    *(
        f"lib/systemd/system/sysinit.target.wants/{name}*"
        for name in (
            *("systemd-tmpfiles-setup", "sys-kernel", "dev-hugepages", "systemd-ask", "proc-sys"),
            *("systemd-binfmt", "systemd-machine", "systemd-firstboot", "systemd-pstore"),
            *("systemd-random", "systemd-update-utmp"),
        )
    ),
)
_MASKED_UNITS = (
    "systemd-logind.service",
    "getty.target",
    "console-getty.service",
    "systemd-udevd.service",
)


def place_files(root: Path, programs: Mapping[str, Path]) -> None:
    for name, (place, mode) in _PLACED.items():
        _install(NODE_FILES / name, root / place, mode)
    for folder, names in _PROGRAMS.items():
        for name in names:
            _install(programs[name], root / folder / name, 0o755)
    (root / "kind/version").write_text(f"v{KUBERNETES}")
    for folder in ("etc/kubernetes/manifests", "etc/cni/net.d"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    _arrange_units(root)
    for folder in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(root / folder, ignore_errors=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").touch()


def _arrange_units(root: Path) -> None:
    """systemd starts our two services and what it needs itself, nothing else."""
    for pattern in _UNWANTED_LINKS:
        for link in root.glob(pattern):
            link.unlink()
    units = root / "etc/systemd/system"
    wanted = units / "multi-user.target.wants"
    wanted.mkdir(parents=True, exist_ok=True)
    for service in ("containerd.service", "kubelet.service"):
        (wanted / service).symlink_to(f"../{service}")
    for unit in _MASKED_UNITS:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (units / "default.target").unlink(missing_ok=True)
    (units / "default.target").symlink_to("/lib/systemd/system/multi-user.target")
    with (root / "etc/systemd/journald.conf").open("a") as settings:
        settings.write("ReadKMsg=no\n")


def _install(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)


def build_pause(places: Places) -> Path:
    source = NODE_FILES / "pause.c"
    path = places.programs / f"pause-{tree_key(source)}"
    if not path.exists():
        with published(path) as target:
            answer(["gcc", "-Os", "-static", "-s", "-o", target, source])
    return path
