"""Which cluster a command is about: our kind cluster, or a context that the user named.

A context named with --context or RANVIER_CONTEXT is taken as it is: it is checked, never created,
changed or deleted.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from kind.errors import CommandFailed, Failure
from kind.places import Places
from kind.processes import answer
from kind.tools import tool

DEFAULT_NAME = "ranvier"
# An API server that is there answers at once; one on the other side of the world within seconds.
API_SECONDS_MAX = 15.0
_KIND_PREFIX = "kind-"


@dataclass(frozen=True)
class ClusterRecord:
    """What is written down about the kind cluster of this state."""

    name: str
    nodes: int
    image: str


@dataclass(frozen=True)
class NamedContext:
    """A context of the user's own kubeconfig."""

    name: str
    kubeconfig: str

    @property
    def kind_cluster(self) -> str | None:
        """The kind cluster behind it, judging by its name: images can be loaded into that one."""
        return self.name.removeprefix(_KIND_PREFIX) if self.name.startswith(_KIND_PREFIX) else None


def named_context(option: str | None, environment: Mapping[str, str]) -> NamedContext | None:
    """The context the user asked for; --context wins over RANVIER_CONTEXT. None: our own
    cluster."""
    name = option or environment.get("RANVIER_CONTEXT")
    if not name:
        return None
    home = Path(environment.get("HOME") or Path.home())
    return NamedContext(name, environment.get("KUBECONFIG") or str(home / ".kube" / "config"))


def read_record(places: Places) -> ClusterRecord | None:
    if not places.cluster_record.exists():
        return None
    return ClusterRecord(**json.loads(places.cluster_record.read_text()))


def write_record(places: Places, record: ClusterRecord | None) -> None:
    if record is None:
        places.cluster_record.unlink(missing_ok=True)
    else:
        places.cluster_record.write_text(json.dumps(asdict(record)))


def api_answers(places: Places, kubeconfig: str | Path, context: str | None = None) -> bool:
    """Whether the API server says it is ready."""
    command: list[str | Path] = [tool(places, "kubectl"), "--kubeconfig", kubeconfig]
    command += ["--context", context] if context else []
    try:
        answer(
            [*command, "--request-timeout=10s", "get", "--raw", "/readyz"],
            seconds_max=API_SECONDS_MAX,
        )
    except CommandFailed:
        return False
    return True


def context_kubeconfig(places: Places, context: NamedContext) -> Path:
    """A kubeconfig with that one context as its current one, so that users of ours need to know no
    context."""
    command: list[str | Path] = [
        tool(places, "kubectl"),
        "config",
        "view",
        "--minify",
        "--flatten",
        "--raw",
    ]
    try:
        text = answer(
            [*command, "--context", context.name], environment={"KUBECONFIG": context.kubeconfig}
        )
    except CommandFailed as failed:
        raise Failure(
            f"{context.kubeconfig} has no context {context.name}",
            "`kubectl config get-contexts` lists those it has; KUBECONFIG names another file",
        ) from failed
    path = places.state / "kubeconfig-of-context"
    path.touch(mode=0o600)
    path.write_text(text)
    return path
