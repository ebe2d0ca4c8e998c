"""What the REST API relies on in Kubernetes: the same tests on the one of `ranvier dev` and on a
real one.

The real one is used where a kubeconfig leads to it (`eval "$(hack/cluster env)"`), in a namespace
of its own; elsewhere those tests are skipped and say so.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from clusters import kubeconfig_environment
from kubernetes_api import KubernetesApi
from ranvier_apiserver import cluster
from ranvier_apiserver.errors import ClusterRefused, ClusterUnavailable, NameTaken
from ranvier_apiserver.kube.adapter import KubernetesObjects
from ranvier_apiserver.kube.cache import Cache
from ranvier_apiserver.kube.objects import (
    DEVBOXES,
    SECRET_LABEL,
    SECRETS,
    ObjectKind,
    RawObject,
)

BOUND = 20.0
NAMESPACES = ObjectKind("Namespace", "", "v1", "namespaces")


@pytest.fixture(params=["ranvier dev", "real"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[tuple[KubernetesObjects, str]]:
    if request.param == "ranvier dev":
        async with KubernetesApi().serving() as api:
            yield KubernetesObjects(cluster.connect(api.kubeconfig(tmp_path))), "here"
        return
    kubeconfig = kubeconfig_environment()["KUBECONFIG"]
    try:
        real = KubernetesObjects(cluster.connect(kubeconfig))
        await real.list(DEVBOXES, None)
    except Exception as error:
        pytest.skip(f"no cluster with our CRDs answers: {error}")
    namespace = f"objects-{uuid.uuid4().hex[:8]}"
    status, _ = await real._cluster.send(
        "POST", "/api/v1/namespaces", {}, {"metadata": {"name": namespace}}
    )
    assert status == 201
    yield real, namespace
    await real._cluster.send("DELETE", f"/api/v1/namespaces/{namespace}", {})


def devbox(namespace: str, name: str = "box") -> RawObject:
    """Held, so that no operator starts it."""
    return {
        "apiVersion": "ranvier.dev/v1alpha1",
        "kind": "Devbox",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"image": "busybox", "operatingMode": "Suspended"},
    }


async def test_what_was_made_is_read_listed_and_its_name_taken(place: Any) -> None:
    objects, here = place
    made = await objects.create(DEVBOXES, devbox(here))
    found = await objects.get(DEVBOXES, here, "box")
    assert found["metadata"]["uid"] == made["metadata"]["uid"]
    listing = await objects.list(DEVBOXES, here)
    assert [body["metadata"]["name"] for body in listing.items] == ["box"]
    with pytest.raises(NameTaken):
        await objects.create(DEVBOXES, devbox(here))
    assert await objects.get(DEVBOXES, here, "nobody") is None


async def test_a_namespace_that_is_not_there_is_a_refusal(place: Any) -> None:
    objects, _ = place
    with pytest.raises(ClusterRefused):
        await objects.create(DEVBOXES, devbox("no-such-namespace"))


async def test_patches_touch_their_part_and_nothing_else(place: Any) -> None:
    objects, here = place
    await objects.create(DEVBOXES, devbox(here))
    changed = await objects.patch(DEVBOXES, here, "box", {"spec": {"metadata": {"a": "1"}}})
    assert changed["spec"]["metadata"] == {"a": "1"}
    cleared = await objects.patch(DEVBOXES, here, "box", {"spec": {"metadata": {"a": None}}})
    assert cleared["spec"]["metadata"] == {}
    request = {"operation": "Resume", "generation": 1, "time": "2026-11-21T10:00:00Z", "id": "a"}
    body = await objects.patch(DEVBOXES, here, "box", {"status": {"request": request}}, "status")
    assert body["status"]["request"] == request
    assert await objects.patch(DEVBOXES, here, "nobody", {"spec": {}}) is None


async def test_a_deletion_means_exactly_one_object(place: Any) -> None:
    objects, here = place
    made = await objects.create(DEVBOXES, devbox(here))
    assert not await objects.delete(DEVBOXES, here, "box", "11111111-somebody-else")
    assert await objects.delete(DEVBOXES, here, "box", made["metadata"]["uid"])
    assert not await objects.delete(DEVBOXES, here, "box", made["metadata"]["uid"])


async def test_a_cache_follows_what_others_do(place: Any) -> None:
    objects, here = place
    made = await objects.create(DEVBOXES, devbox(here))
    uid = made["metadata"]["uid"]
    cache = Cache(objects, DEVBOXES, [here])
    with pytest.raises(ClusterUnavailable):
        cache.all()
    async with asyncio.timeout(BOUND), asyncio.TaskGroup() as group:
        following = group.create_task(cache.run())
        await cache.changed(uid, BOUND)
        assert cache.get(uid) is not None
        await objects.patch(DEVBOXES, here, "box", {"spec": {"displayName": "changed"}})
        while cache.get(uid)["spec"].get("displayName") != "changed":  # type: ignore[index]
            await cache.changed(uid, BOUND)
        later = await objects.create(DEVBOXES, devbox(here, "later"))
        while cache.get(later["metadata"]["uid"]) is None:
            await cache.changed(later["metadata"]["uid"], BOUND)
        await objects.delete(DEVBOXES, here, "box", uid)
        while cache.get(uid) is not None:
            await cache.changed(uid, BOUND)
        cache.put(made)
        assert cache.get(uid) is None, "what is gone does not come back by a late answer"
        following.cancel()


async def test_only_secrets_of_ours_are_listed(place: Any) -> None:
    objects, here = place
    for name, labels in (("ours", {SECRET_LABEL: "true"}), ("theirs", {})):
        metadata = {"namespace": here, "name": name, "labels": labels}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {}}
        await objects.create(SECRETS, body)
    listing = await objects.list(SECRETS, here)
    assert [body["metadata"]["name"] for body in listing.items] == ["ours"]
