"""What the machine looks like, before our daemon and after it: `down` leaves no trace.

A snapshot is taken before the private Docker daemon starts. When it has ended, interfaces, cgroups,
mounts, firewall rules and kernel settings that came with it are taken back, and what still differs
is reported.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from kind import firewall
from kind.debian import which
from kind.errors import CommandFailed
from kind.places import Places
from kind.processes import answer, lines_of, succeeds

CGROUPS = Path("/sys/fs/cgroup")
# Kernel settings that Docker (the first group) and a kubelet inside a node change for the whole
# machine.
SETTINGS = (
    "net/ipv4/ip_forward",
    "net/ipv6/conf/all/forwarding",
    "net/ipv6/conf/default/forwarding",
    "net/bridge/bridge-nf-call-iptables",
    "net/bridge/bridge-nf-call-ip6tables",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)
FIREWALLS = ("iptables", "ip6tables")
SETTLE_SECONDS_MAX = 5.0


@dataclass(frozen=True)
class Snapshot:
    """Everything a Docker daemon is known to leave behind, as it is at one moment."""

    boot: str
    settings: dict[str, str]
    interfaces: list[str]
    cgroups: list[str]
    mounts: list[str]
    firewalls: dict[str, str]
    nft_tables: list[str]


def take_snapshot() -> Snapshot:
    return Snapshot(
        boot=boot_id(),
        settings={name: text for name in SETTINGS if (text := _setting(name)) is not None},
        interfaces=sorted(_interfaces()),
        cgroups=sorted(map(str, _hierarchy_groups())),
        mounts=sorted(_mount_points()),
        firewalls={name: answer([f"{name}-save"]) for name in FIREWALLS if which(f"{name}-save")},
        nft_tables=lines_of(["nft", "list", "tables"]) if which("nft") else [],
    )


def remember(places: Places) -> None:
    """Keep the snapshot that `put_back` goes by. One from this boot stays: its daemon ended without
    `down`."""
    if remembered(places) is None:
        places.machine_before.write_text(json.dumps(asdict(take_snapshot()), indent=1))


def put_back(places: Places) -> list[str]:
    """Take back what came since `remember`, forget it, and return what still differs (nothing, that
    is)."""
    before = remembered(places)
    if before is None:
        places.machine_before.unlink(missing_ok=True)
        return []
    # The kernel takes a moment to let go of what a process that just ended held.
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while True:
        _take_back(before, places)
        left = differences(before, take_snapshot())
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.2)
    places.machine_before.unlink(missing_ok=True)
    return left


def _take_back(before: Snapshot, places: Places) -> None:
    _unmount([str(places.docker_data), str(places.docker_exec)], before)
    _remove_bridges(before)
    _remove_cgroups(places.cgroup_parent)
    _restore_firewalls(before)
    for name, value in before.settings.items():
        if _setting(name) != value:
            Path("/proc/sys", name).write_text(value)


def group_members(name: str) -> set[int]:
    """Processes in a first-level control group or below it."""
    members: set[int] = set()
    for parent in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")):
        for path in parent.rglob("cgroup.procs"):
            with contextlib.suppress(OSError):  # a group that has just gone
                members |= {int(word) for word in path.read_text().split()}
    return members


def differences(before: Snapshot, after: Snapshot) -> list[str]:
    """What is not as it was, one line each."""
    found = []
    for what in ("interfaces", "cgroups", "mounts", "nft_tables"):
        was, now = set(getattr(before, what)), set(getattr(after, what))
        found += [f"{what}: {name} is new" for name in sorted(now - was)]
        found += [f"{what}: {name} is gone" for name in sorted(was - now)]
    for name, value in before.settings.items():
        if after.settings.get(name) != value:
            found.append(f"settings: {name} was {value}, is {after.settings.get(name)}")
    for name, rules in before.firewalls.items():
        if not firewall.same_rules(rules, after.firewalls.get(name, "")):
            found.append(f"firewall: the rules of {name} differ")
    return found


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def remembered(places: Places) -> Snapshot | None:
    """The kept snapshot, unless the machine was started anew since: then there is nothing to take
    back."""
    if not places.machine_before.exists():
        return None
    before = Snapshot(**json.loads(places.machine_before.read_text()))
    return before if before.boot == boot_id() else None


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _setting(name: str) -> str | None:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return None


def _hierarchy_groups() -> Iterator[Path]:
    """First-level groups: of each v1 hierarchy, or of the one v2 hierarchy."""
    for folder in CGROUPS.iterdir():
        if folder.is_dir() and not folder.is_symlink():
            yield folder
            if not (CGROUPS / "cgroup.controllers").exists():
                yield from (group for group in folder.iterdir() if group.is_dir())


def _mount_points() -> Iterator[str]:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        yield line.split()[1].encode().decode("unicode_escape")


def _unmount(folders: list[str], before: Snapshot) -> None:
    """What was mounted on or below our folders since, innermost first."""
    new = [point for point in _mount_points() if point not in before.mounts]
    ours = [point for point in new if any(f"{point}/".startswith(f"{f}/") for f in folders)]
    for point in sorted(ours, key=len, reverse=True):
        succeeds(["umount", "--lazy", point])


def _remove_bridges(before: Snapshot) -> None:
    for name in _interfaces():
        docker_made = name == "docker0" or name.startswith("br-")
        if docker_made and name not in before.interfaces:
            succeeds(["ip", "link", "delete", name])


def _remove_cgroups(name: str) -> None:
    """Our group in every hierarchy, from the innermost out (rmdir is the way to remove a group)."""
    for parent in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")):
        for folder, _, _ in os.walk(parent, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                continue  # not empty: it shows up among the differences


def _restore_firewalls(before: Snapshot) -> None:
    for name, rules in before.firewalls.items():
        now = answer([f"{name}-save"])
        if firewall.rules_of(now) != firewall.rules_of(rules):
            answer([f"{name}-restore"], text=firewall.restored(rules, now))
    if not which("nft"):
        return
    for table in lines_of(["nft", "list", "tables"]):
        if table not in before.nft_tables and _is_empty_nft(table):
            succeeds(["nft", "delete", *table.split()])


def _is_empty_nft(table: str) -> bool:
    """Whether a table holds no rule (restoring leaves Docker's tables behind with nothing but
    built-in chains)."""
    try:
        described = json.loads(answer(["nft", "--json", "list", *table.split()]))
    except CommandFailed:
        return False
    return not any("rule" in part for part in described["nftables"])
