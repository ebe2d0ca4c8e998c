"""An OCI runtime for machines without CAP_SYS_RESOURCE: takes that one wish out of a container's
spec.

`docker --privileged`, which kind uses for its nodes, asks for every capability, and Docker may
lower a container's OOM score. A root user who lacks CAP_SYS_RESOURCE (as in some virtual machines)
may grant neither, and runc fails. This wrapper edits the spec that Docker wrote and hands over to
runc. It is run for every container start and every `docker exec`: no imports beyond a few quick
ones.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from typing import Any

CAPABILITY = "CAP_SYS_RESOURCE"
# Bit of CAP_SYS_RESOURCE in the masks of /proc/PID/status (capability.h).
CAPABILITY_BIT = 24


def is_missing() -> bool:
    """Whether this process, though root, may not raise resource limits (asked on Linux only)."""
    if not os.path.exists("/proc/self/status"):
        return False
    with open("/proc/self/status") as status:
        masks = [int(line.split()[1], 16) for line in status if line.startswith("CapBnd:")]
    return not masks[0] >> CAPABILITY_BIT & 1


def without_capability(process: dict[str, Any]) -> dict[str, Any]:
    """A spec's `process` that asks for nothing we cannot grant."""
    lists = process.get("capabilities") or {}
    kept = {name: [cap for cap in caps if cap != CAPABILITY] for name, caps in lists.items()}
    changed = {**process, **({"capabilities": kept} if lists else {})}
    return {**changed, "oomScoreAdj": 0} if "oomScoreAdj" in process else changed


def spec_file(arguments: list[str]) -> tuple[str, bool] | None:
    """The file that holds the spec, and whether it is a whole bundle's (or only that of a
    process)."""
    verb = next((word for word in arguments if word in ("create", "run", "exec")), None)
    if verb is None:
        return None
    flags = ("--process", "-p") if verb == "exec" else ("--bundle", "-b")
    for word, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = word.partition("=")
        if name in flags:
            path = value or following
            return (path, False) if verb == "exec" else (f"{path}/config.json", True)
    return None


def main() -> None:
    found = spec_file(sys.argv[1:])
    if found is not None:
        path, whole_bundle = found
        with open(path) as file:
            spec = json.load(file)
        if whole_bundle:
            spec["process"] = without_capability(spec["process"])
        else:
            spec = without_capability(spec)
        with open(f"{path}.new", "w") as file:
            json.dump(spec, file)
        os.replace(f"{path}.new", path)
    runc = shutil.which("runc", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/bin:/sbin:/bin")
    if runc is None:
        sys.exit("runc is not installed")
    os.execv(runc, ["runc", *sys.argv[1:]])


if __name__ == "__main__":
    main()
