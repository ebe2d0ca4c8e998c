"""Where everything lies.

Two folders, told apart by one question: may it be deleted while a cluster runs? The *cache* may (it
is only slow to refill); the *state* may not (it says which processes are ours and what the machine
looked like before).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kind.errors import Failure

# A Unix socket's path must fit into sockaddr_un: 108 bytes with the closing zero (unix(7)).
SOCKET_PATH_BYTES_MAX = 107


@dataclass(frozen=True)
class Places:
    """All paths this package writes to."""

    cache: Path
    state: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Places:
        """RANVIER_CACHE (default ~/.cache/ranvier) and RANVIER_STATE (default: `state` in the
        cache)."""
        home = Path(environment.get("HOME") or Path.home())
        cache = Path(environment.get("RANVIER_CACHE") or home / ".cache" / "ranvier").absolute()
        state = Path(environment.get("RANVIER_STATE") or cache / "state").absolute()
        places = cls(cache, state)
        if len(os.fsencode(places.docker_socket)) > SOCKET_PATH_BYTES_MAX:
            raise Failure(
                f"{places.docker_socket} is too long a path for a socket",
                "set RANVIER_STATE to a shorter path",
            )
        return places

    # --- the cache ---

    @property
    def lock(self) -> Path:
        return self.cache / "lock"

    @property
    def logs(self) -> Path:
        """Full output of the slow steps, one file a step, overwritten each time."""
        return self.cache / "logs"

    @property
    def programs(self) -> Path:
        return self.cache / "programs"

    @property
    def go_modules(self) -> Path:
        """Folders holding the go.mod files our builds start from (not Go's own module cache)."""
        return self.cache / "go-modules"

    @property
    def go(self) -> Path:
        return self.cache / "go"

    @property
    def roots(self) -> Path:
        """Debian trees, packed."""
        return self.cache / "roots"

    @property
    def docker_data(self) -> Path:
        """The private daemon's images: here and not in the state, so that they outlive `down`."""
        return self.cache / "docker"

    # --- the state ---

    @property
    def docker_socket(self) -> Path:
        return self.state / "docker.sock"

    @property
    def docker_exec(self) -> Path:
        return self.state / "docker-exec"

    @property
    def cgroup_parent(self) -> str:
        """All our containers live below this one control group: with it goes every trace of them.
        One for each state, so that two of them never tidy up after each other."""
        return f"ranvier-{hashlib.sha256(os.fsencode(self.state)).hexdigest()[:6]}"

    @property
    def docker_record(self) -> Path:
        return self.state / "docker.json"

    @property
    def machine_before(self) -> Path:
        """What the machine looked like before our daemon started: `down` goes back to exactly
        that."""
        return self.state / "machine-before.json"

    @property
    def cluster_record(self) -> Path:
        return self.state / "cluster.json"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    @property
    def bin(self) -> Path:
        """Links to the programs brought along (kind, kubectl, helm …): put first on PATH by
        `hack/cluster env`."""
        return self.state / "bin"
