"""The chart on a cluster: `helm test` of the release that hack/test installed."""

import json
import subprocess
from typing import Any, Protocol

import pytest

NAMESPACE = "ranvier-system"


class Helm(Protocol):
    program: str


def test_helm_test_passes_on_the_installed_release(
    helm: Helm, kubeconfig_env: dict[str, str]
) -> None:
    def call(*words: str) -> Any:
        return subprocess.run(
            [helm.program, *words, "--namespace", NAMESPACE],
            env=kubeconfig_env,
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
        )

    listed = call("list", "--filter", "^ranvier$", "--output", "json")
    if listed.returncode != 0:
        pytest.skip(f"no cluster answers: {listed.stderr.strip()}")
    releases = json.loads(listed.stdout)
    if not releases:
        pytest.skip(f"no release `ranvier` in {NAMESPACE}; `hack/test e2e` installs it")
    done = call("test", "ranvier", "--logs", "--timeout", "120s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok: payloads read back" in done.stdout
