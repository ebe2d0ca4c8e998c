"""The cache never goes back in time, and forgets what is gone."""

from typing import Any

from ranvier_operator.cache import Cache
from ranvier_operator.kinds import PODS, Key


def pod(version: int, uid: str = "u1", name: str = "box", **more: Any) -> dict[str, Any]:
    metadata = {"namespace": "here", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {**metadata, **more}}


def version(cache: Cache) -> str | None:
    body = cache.get(PODS, "here", "box")
    return body["metadata"]["resourceVersion"] if body is not None else None


def test_an_older_version_does_not_replace_a_newer_one() -> None:
    cache = Cache()
    assert cache.put(PODS, pod(10))
    assert not cache.put(PODS, pod(9))
    assert not cache.put(PODS, pod(10))
    assert version(cache) == "10"


def test_what_was_deleted_does_not_come_back_by_a_late_answer() -> None:
    cache = Cache()
    cache.put(PODS, pod(10))
    cache.drop(PODS, pod(12))
    assert not cache.put(PODS, pod(11))
    assert version(cache) is None


def test_another_object_of_the_name_is_a_new_one() -> None:
    cache = Cache()
    cache.put(PODS, pod(10))
    assert cache.put(PODS, pod(9, uid="u2"))
    cache.drop(PODS, pod(10))
    assert version(cache) == "9"


def test_a_list_says_what_was_missed() -> None:
    cache = Cache()
    cache.put(PODS, pod(10))
    cache.put(PODS, pod(11, uid="u2", name="other"))
    before = list(cache.of(PODS))
    cache.put(PODS, pod(20, uid="u3", name="new"))
    lost = cache.replace(PODS, before, [pod(15)])
    assert lost == [Key("Pod", "here", "other")]
    assert sorted(body["metadata"]["name"] for body in cache.of(PODS)) == ["box", "new"]
    assert version(cache) == "15"


def test_objects_are_found_by_namespace() -> None:
    cache = Cache()
    cache.put(PODS, pod(1))
    assert list(cache.of(PODS, "there")) == []
    assert len(list(cache.of(PODS, "here"))) == 1


def test_the_bulk_of_metadata_is_not_kept() -> None:
    cache = Cache()
    cache.put(PODS, pod(1, managedFields=[{"manager": "kubectl"}]))
    body = cache.get(PODS, "here", "box")
    assert body is not None
    assert "managedFields" not in body["metadata"]
