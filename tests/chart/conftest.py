"""Renders the chart with Helm and hands out the objects. Without Helm the tests are left out."""

import json
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from clusters import kubeconfig_environment
from stage.shell import CommandFailed, cluster_environment

CHART = Path(__file__).parents[2] / "charts" / "ranvier"
Object = dict[str, Any]


class Rendered(list[Object]):
    """What a set of values makes."""

    def one(self, kind: str, name: str) -> Object:
        (found,) = (o for o in self if (o["kind"], o["metadata"]["name"]) == (kind, name))
        return found

    def of(self, *kinds: str) -> list[Object]:
        return [o for o in self if o["kind"] in kinds]

    def pods(self) -> Iterable[tuple[str, Object]]:
        """Every pod, or template of one, with a name for it."""
        for found in self.of("Deployment", "StatefulSet"):
            yield found["metadata"]["name"], found["spec"]["template"]
        for found in self.of("Pod"):
            yield found["metadata"]["name"], found


@dataclass(frozen=True)
class Helm:
    """The program, and the chart."""

    program: str
    chart: Path = CHART

    def run(self, *words: str, values: Any = None) -> subprocess.CompletedProcess[str]:
        given = ["--values", "-"] if values is not None else []
        return subprocess.run(
            [self.program, *words, *given],
            input=json.dumps(values) if values is not None else None,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def render(self, values: Any = None, release: str = "ranvier") -> Rendered:
        words = ("template", release, str(self.chart), "--namespace", "ranvier-system")
        done = self.run(*words, values=values or {})
        assert done.returncode == 0, done.stderr
        return Rendered(found for found in yaml.safe_load_all(done.stdout) if found)

    def refusal(self, values: Any) -> str:
        done = self.run("template", "ranvier", str(self.chart), values=values)
        return done.stderr if done.returncode else ""


@pytest.fixture(scope="session")
def helm() -> Helm:
    program = shutil.which("helm")
    if program is None:
        try:
            program = shutil.which("helm", path=cluster_environment().get("PATH"))
        except (CommandFailed, OSError):
            program = None
    if program is None:
        pytest.skip("helm is not in PATH; `hack/cluster up` brings one")
    return Helm(program)


@pytest.fixture(scope="session")
def default(helm: Helm) -> Rendered:
    """The chart with nothing set."""
    return helm.render()


@pytest.fixture(scope="session")
def kubeconfig_env() -> dict[str, str]:
    """Environment of a cluster, or a skip."""
    return kubeconfig_environment()
