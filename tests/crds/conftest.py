"""A real API server with our CRDs, through kubectl. Without one these tests are left out."""

import json
import shutil
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import kubeconfig_environment

ROOT = Path(__file__).parents[2]
COMMAND_SECONDS_MAX = 60


@dataclass(frozen=True)
class Kubectl:
    """kubectl in a namespace of its own."""

    program: str
    env: Mapping[str, str]
    namespace: str

    def run(self, *words: str, body: Any = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.program, "--namespace", self.namespace, *words],
            env=dict(self.env),
            input=None if body is None else json.dumps(body),
            capture_output=True,
            text=True,
            check=False,
            timeout=COMMAND_SECONDS_MAX,
        )

    def read(self, *words: str, body: Any = None) -> str:
        """What it prints; a failure fails the test with kubectl's words."""
        done = self.run(*words, body=body)
        assert done.returncode == 0, f"kubectl {' '.join(words)}: {done.stderr}"
        return done.stdout

    def get(self, *words: str) -> Any:
        return json.loads(self.read("get", *words, "--output", "json"))

    def refusal(self, body: Any) -> str:
        """Why the API server does not take this object; "" when it does."""
        return self.run("apply", "--dry-run=server", "--filename", "-", body=body).stderr


@pytest.fixture(scope="session")
def kubectl() -> Iterator[Kubectl]:
    env = kubeconfig_environment()
    program = shutil.which("kubectl", path=env.get("PATH"))
    if program is None:
        pytest.skip("kubectl is not in PATH; `hack/cluster up` brings one")
    namespace = f"crds-{uuid.uuid4().hex[:8]}"
    ready = Kubectl(program, env, "default").run("get", "--raw=/readyz", "--request-timeout=10s")
    if ready.returncode != 0:
        pytest.skip(f"no API server answers at {env.get('KUBECONFIG')}: {ready.stderr.strip()}")
    there = Kubectl(program, env, namespace)
    there.read(
        *("apply", "--server-side", "--force-conflicts", "--field-manager=ranvier-crds"),
        *("--filename", str(ROOT / "crds")),
    )
    there.read(
        *("wait", "--for=condition=Established", "--timeout=30s"),
        *("--filename", str(ROOT / "crds")),
    )
    there.read("create", "namespace", namespace)
    try:
        yield there
    finally:
        there.run("delete", "namespace", namespace, "--wait=false")
