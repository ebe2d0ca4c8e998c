"""What the operator relies on in a cluster: the same tests on the fake and on a real API server.

The real one is used where a kubeconfig leads to it (`eval "$(hack/cluster env)"`), in a namespace
of its own; elsewhere those tests are skipped and say so.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from clusters import kubeconfig_environment
from ranvier_operator.cluster import Cluster, KubernetesCluster
from ranvier_operator.errors import AlreadyExists, ClusterError, Conflict, NotLeading, Refused
from ranvier_operator.kinds import CLAIMS, DEVBOXES, EVENTS, LEASES, PODS, Kind, RawObject
from ranvier_operator.naming import labels
from ranvier_operator.testing import FakeCluster

ACCOUNT_LOOKS_MAX = 600


@pytest.fixture(params=["fake", "real"])
async def place(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Any, str]]:
    """A cluster and a namespace in it."""
    if request.param == "fake":
        yield FakeCluster(), "here"
        return
    real = KubernetesCluster.connect(threads=4, kubeconfig=kubeconfig_environment()["KUBECONFIG"])
    real.guard = lambda: None
    namespace = f"contract-{uuid.uuid4().hex[:8]}"
    try:
        try:
            await real.list(DEVBOXES)
        except ClusterError as error:
            pytest.skip(f"no cluster with our CRDs answers: {error}")
        await real._write("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        await _default_account(real, namespace)
        yield real, namespace
        await real._write("DELETE", f"/api/v1/namespaces/{namespace}", {})
    finally:
        real.close()


async def _default_account(real: KubernetesCluster, namespace: str) -> None:
    """Pods are refused until the namespace has its ServiceAccount."""
    accounts = Kind("ServiceAccount", "", "v1", "serviceaccounts")
    for _ in range(ACCOUNT_LOOKS_MAX):
        if await real.get(accounts, namespace, "default") is not None:
            return
        await asyncio.sleep(0.05)
    pytest.fail("the namespace got no ServiceAccount")


def pod(namespace: str, name: str = "box") -> RawObject:
    """A pod that no node will take, so it stays as it is made."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": labels(name)},
        "spec": {
            "schedulerName": "nobody",
            "containers": [{"name": "devbox", "image": "busybox"}],
        },
    }


def claim(namespace: str) -> RawObject:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"namespace": namespace, "name": "box-home", "labels": labels("box")},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def devbox(namespace: str) -> RawObject:
    return {
        "apiVersion": DEVBOXES.api_version,
        "kind": DEVBOXES.name,
        "metadata": {"namespace": namespace, "name": "box"},
        "spec": {"image": "busybox"},
    }


async def test_what_was_created_is_read_and_listed(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    made = await cluster.create(PODS, pod(here))
    assert made["metadata"]["uid"]
    found = await cluster.get(PODS, here, "box")
    assert found is not None
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    assert [body["metadata"]["name"] for body in await cluster.list(PODS, [here])] == ["box"]


async def test_lists_hold_only_what_carries_our_label(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    foreign = pod(here, "foreign")
    del foreign["metadata"]["labels"]
    await cluster.create(PODS, foreign)
    assert list(await cluster.list(PODS, [here])) == []
    assert await cluster.get(PODS, here, "foreign") is not None


async def test_a_name_is_taken_once(place: tuple[Cluster, str]) -> None:
    """Creating never takes over what somebody else made."""
    cluster, here = place
    await cluster.create(CLAIMS, claim(here))
    with pytest.raises(AlreadyExists):
        await cluster.create(CLAIMS, claim(here))


async def test_what_is_not_there_is_none(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    assert await cluster.get(PODS, here, "nobody") is None
    assert await cluster.delete(PODS, here, "nobody", uid="1") is None
    assert await cluster.patch(CLAIMS, here, "nobody", {"metadata": {}}) is None
    assert await cluster.patch_status(DEVBOXES, here, "nobody", {"podName": "x"}) is None


async def test_a_deletion_means_exactly_one_object(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    made = await cluster.create(PODS, pod(here))
    assert await cluster.delete(PODS, here, "box", uid="somebody-else") is None
    assert await cluster.get(PODS, here, "box") is not None
    assert await cluster.delete(PODS, here, "box", uid=made["metadata"]["uid"]) is None
    assert await cluster.get(PODS, here, "box") is None


async def test_a_patch_of_another_uid_is_a_conflict(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    made = await cluster.create(CLAIMS, claim(here))
    patch = {"metadata": {"uid": "somebody-else", "annotations": {"a": "b"}}}
    with pytest.raises(Conflict):
        await cluster.patch(CLAIMS, here, "box-home", patch)
    patch["metadata"]["uid"] = made["metadata"]["uid"]
    changed = await cluster.patch(CLAIMS, here, "box-home", patch)
    assert changed is not None
    assert changed["metadata"]["annotations"] == {"a": "b"}


async def test_a_status_patch_leaves_other_fields_of_the_status_alone(
    place: tuple[Cluster, str],
) -> None:
    """`status.wake` is the waker's; a patch of ours must never wipe it."""
    cluster, here = place
    await cluster.create(DEVBOXES, devbox(here))
    wake = {"generation": 2, "axonId": "axn_1", "sequence": 3, "time": "2026-11-21T10:00:00Z"}
    await cluster.patch_status(DEVBOXES, here, "box", {"wake": wake, "podName": "box"})
    body = await cluster.patch_status(
        DEVBOXES, here, "box", {"podName": None, "sleepGeneration": 2}
    )
    assert body is not None
    assert body["status"] == {"wake": wake, "sleepGeneration": 2}
    assert body["spec"]["image"] == "busybox"
    assert body["metadata"]["generation"] == 1


async def test_the_same_status_again_is_no_new_version(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    await cluster.create(DEVBOXES, devbox(here))
    first = await cluster.patch_status(DEVBOXES, here, "box", {"podName": "box"})
    again = await cluster.patch_status(DEVBOXES, here, "box", {"podName": "box"})
    assert first is not None
    assert again is not None
    assert first["metadata"]["resourceVersion"] == again["metadata"]["resourceVersion"]


async def test_versions_rise(place: tuple[Cluster, str]) -> None:
    """The cache tells newer from older by them."""
    cluster, here = place
    made = await cluster.create(DEVBOXES, devbox(here))
    later = await cluster.patch_status(DEVBOXES, here, "box", {"podName": "box"})
    assert later is not None
    assert int(later["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_a_lease_is_replaced_only_by_who_saw_it_last(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    body = {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.name,
        "metadata": {"namespace": here, "name": "lease"},
        "spec": {"holderIdentity": "a"},
    }
    assert await cluster.get_lease(here, "lease") is None
    made = await cluster.create_lease(body)
    with pytest.raises(AlreadyExists):
        await cluster.create_lease(body)
    newer = await cluster.replace_lease({**made, "spec": {"holderIdentity": "b"}})
    with pytest.raises(Conflict):
        await cluster.replace_lease({**made, "spec": {"holderIdentity": "c"}})
    assert newer["spec"]["holderIdentity"] == "b"
    with pytest.raises(ClusterError):
        await cluster.replace_lease({**made, "metadata": {**made["metadata"], "name": "gone"}})


async def test_events_can_be_written_and_counted(place: tuple[Cluster, str]) -> None:
    cluster, here = place
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"namespace": here, "name": "box.1"},
        "involvedObject": {"kind": "Devbox", "name": "box", "namespace": here},
        "reason": "Woken",
        "message": "An event woke it.",
        "type": "Normal",
        "count": 1,
    }
    await cluster.create(EVENTS, event)
    counted = await cluster.patch(EVENTS, here, "box.1", {"count": 2})
    assert counted is not None
    assert counted["count"] == 2


async def test_no_write_leaves_while_the_guard_refuses(place: tuple[Any, str]) -> None:
    """The election's guard is asked right before each write; reads and the lease are free."""
    cluster, here = place

    def refuse() -> None:
        raise NotLeading("not now")

    cluster.guard = refuse
    with pytest.raises(NotLeading):
        await cluster.create(PODS, pod(here))
    with pytest.raises(NotLeading):
        await cluster.patch_status(DEVBOXES, here, "box", {"podName": "box"})
    assert await cluster.get(PODS, here, "box") is None
    cluster.guard = lambda: None


async def test_what_the_api_server_refuses_is_told_from_what_may_be_tried_again(
    place: tuple[Any, str],
) -> None:
    cluster, here = place
    if isinstance(cluster, FakeCluster):
        cluster.fail_next = Refused("refused", status=422)
    broken = pod(here)
    broken["spec"]["containers"] = []
    with pytest.raises(Refused) as caught:
        await cluster.create(PODS, broken)
    assert caught.value.status == 422
