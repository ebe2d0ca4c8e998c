"""Where a test finds a cluster: the caller's KUBECONFIG, or else the one of `hack/cluster`."""

import os

import pytest
from stage.shell import CommandFailed, cluster_environment


def kubeconfig_environment() -> dict[str, str]:
    """This environment with a KUBECONFIG in it; without a cluster the test is left out."""
    if os.environ.get("KUBECONFIG"):
        return dict(os.environ)
    try:
        env = cluster_environment()
    except (CommandFailed, OSError) as failure:
        pytest.skip(f"no KUBECONFIG, and hack/cluster can not be asked: {failure}")
    if not env.get("KUBECONFIG"):
        pytest.skip("no KUBECONFIG, and no cluster is up (`hack/cluster up` brings one)")
    return env
