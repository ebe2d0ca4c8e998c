"""The cluster, the installed product, a scripted model, and a namespace a test."""

import fcntl
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from clusters import kubeconfig_environment
from journeys import Box, namespace_for_boxes
from stage.forward import ApiForward
from stage.release import api_key
from stage.shell import ROOT, read

MODEL_NAMESPACE = "e2e-model"


@contextmanager
def locked(name: str, how: int) -> Iterator[None]:
    """Tests may run in several processes; `how`: of fcntl.flock."""
    with Path(tempfile.gettempdir(), f"ranvier-e2e-{name}.lock").open("a") as lock:
        fcntl.flock(lock, how)
        yield


@pytest.fixture(scope="module", autouse=True)
def _release_is_steady(request: pytest.FixtureRequest) -> Iterator[None]:
    """Files that kill or replace parts of the release (mark `disturbs_release`) run alone."""
    disturbs = request.node.get_closest_marker("disturbs_release") is not None
    with locked("release", fcntl.LOCK_EX if disturbs else fcntl.LOCK_SH):
        yield


@pytest.fixture(scope="session")
def env() -> Mapping[str, str]:
    """Environment in which kubectl finds the cluster; hack/test prepares it."""
    return kubeconfig_environment()


@pytest.fixture(scope="session")
def model_url(env: Mapping[str, str]) -> str:
    """The scripted model as a pod, shared by all journeys."""
    here = ["kubectl", "-n", MODEL_NAMESPACE]
    with locked("model", fcntl.LOCK_EX):
        namespaces = read(["kubectl", "get", "namespaces", "-o", "name"], env)
        if f"namespace/{MODEL_NAMESPACE}\n" not in namespaces:
            read(["kubectl", "create", "namespace", MODEL_NAMESPACE], env)
        read([*here, "apply", "-f", ROOT / "examples" / "scripted-model.yaml"], env)
    read([*here, "rollout", "status", "deployment/scripted-model", "--timeout=120s"], env)
    return f"http://scripted-model.{MODEL_NAMESPACE}.svc:8080/v1"


@pytest.fixture(scope="session")
def api(env: Mapping[str, str]) -> Iterator[ApiForward]:
    with ApiForward(env) as forward:
        yield forward


@pytest.fixture(scope="session")
def key(env: Mapping[str, str]) -> str:
    return api_key(env)


@pytest.fixture
async def box(env: Mapping[str, str]) -> AsyncIterator[Box]:
    """An empty namespace for one devbox; gone after the test."""
    async with namespace_for_boxes(env) as namespace:
        yield Box(env, namespace)
