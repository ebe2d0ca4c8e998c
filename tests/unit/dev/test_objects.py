"""The objects of the small Kubernetes behave as its clients rely on."""

import itertools
from typing import Any

import pytest
from ranvier_dev.kinds import CLAIMS, DEVBOXES, EVENTS, PODS, SECRETS, Invalid
from ranvier_dev.objects import HISTORY_MAX, Change, Conflict, Objects, Taken, TooOld

POD = {"metadata": {"name": "box", "labels": {"app": "devbox"}}, "spec": {"nodeName": "here"}}


class World:
    """Objects with countable uids, and what listeners heard."""

    def __init__(self) -> None:
        numbers = itertools.count(1)
        self.heard: list[Change] = []
        self.objects = Objects(
            lambda: f"{next(numbers):05}-uid",
            lambda plus: f"2026-01-01T00:00:{int(plus):02}Z",
            self.heard.append,
        )

    def devbox(self, name: str = "box") -> dict[str, Any]:
        body = {"metadata": {"name": name}, "spec": {"mounts": []}}
        return self.objects.create(DEVBOXES, "ns", body)

    @property
    def kinds(self) -> list[str]:
        return [f"{change.type} {change.served.kind}" for change in self.heard]


@pytest.fixture
def world() -> World:
    return World()


def test_a_name_is_taken_once_and_a_uid_never_again(world: World) -> None:
    first = world.devbox()
    with pytest.raises(Taken, match='devboxes "box" already exists'):
        world.devbox()
    world.objects.delete(DEVBOXES, "ns", "box")
    assert world.devbox()["metadata"]["uid"] != first["metadata"]["uid"]


def test_a_spec_gets_its_defaults_and_a_wrong_one_is_refused_by_field(world: World) -> None:
    assert world.devbox()["spec"]["operatingMode"] == "Running"
    body = {"metadata": {"name": "bad"}, "spec": {"mounts": "none"}}
    with pytest.raises(Invalid, match=r"Devbox is invalid: spec\.mounts"):
        world.objects.create(DEVBOXES, "ns", body)


def test_generation_rises_with_the_spec_alone(world: World) -> None:
    world.devbox()
    place = DEVBOXES, "ns", "box"
    status = world.objects.patch(*place, {"status": {"podName": "box"}}, status=True)
    assert status
    assert status["metadata"]["generation"] == 1
    spec = world.objects.patch(*place, {"spec": {"operatingMode": "Suspended"}})
    assert spec
    assert spec["metadata"]["generation"] == 2
    assert spec["status"] == {"podName": "box"}


def test_a_patch_that_changes_nothing_is_no_change(world: World) -> None:
    before = world.devbox()
    after = world.objects.patch(DEVBOXES, "ns", "box", {"spec": {"operatingMode": "Running"}})
    assert after == before
    assert world.kinds == ["ADDED Devbox"]


def test_status_is_written_by_its_own_door_only(world: World) -> None:
    world.devbox()
    place = DEVBOXES, "ns", "box"
    assert world.objects.patch(*place, {"status": {"podName": "x"}}) == world.objects.get(*place)
    world.objects.patch(*place, {"spec": {"operatingMode": "Suspended"}}, status=True)
    found = world.objects.get(*place)
    assert found
    assert found["spec"]["operatingMode"] == "Running"


def test_a_replace_of_an_old_version_is_refused(world: World) -> None:
    old = world.devbox()
    world.objects.patch(DEVBOXES, "ns", "box", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        world.objects.replace(DEVBOXES, "ns", "box", old)


def test_a_patch_or_deletion_meant_for_another_uid_does_nothing(world: World) -> None:
    world.devbox()
    with pytest.raises(Conflict):
        world.objects.patch(DEVBOXES, "ns", "box", {"metadata": {"uid": "other"}})
    with pytest.raises(Conflict):
        world.objects.delete(DEVBOXES, "ns", "box", uid="other")
    assert world.objects.get(DEVBOXES, "ns", "box")


def test_a_pod_that_runs_ends_before_it_goes_unless_forced(world: World) -> None:
    world.objects.create(PODS, "ns", POD)
    ending = world.objects.delete(PODS, "ns", "box")
    assert ending
    assert ending["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:30Z"
    again = world.objects.delete(PODS, "ns", "box")
    assert again
    assert again["metadata"] == ending["metadata"]
    world.objects.delete(PODS, "ns", "box", grace=0)
    assert world.objects.get(PODS, "ns", "box") is None
    assert world.kinds == ["ADDED Pod", "MODIFIED Pod", "DELETED Pod"]


def test_children_go_with_their_owner_and_others_stay(world: World) -> None:
    uid = world.devbox()["metadata"]["uid"]
    owned = {"metadata": {"name": "home", "ownerReferences": [{"uid": uid}]}, "spec": {}}
    world.objects.create(CLAIMS, "ns", owned)
    world.objects.create(CLAIMS, "ns", {"metadata": {"name": "other"}, "spec": {}})
    world.objects.create(
        PODS, "ns", {**POD, "metadata": {"name": "box", "ownerReferences": [{"uid": uid}]}}
    )
    world.objects.delete(DEVBOXES, "ns", "box")
    assert [c["metadata"]["name"] for c in world.objects.select(CLAIMS)] == ["other"]
    pod = world.objects.get(PODS, "ns", "box")
    assert pod
    assert "deletionTimestamp" in pod["metadata"]


def test_a_reader_that_begins_at_a_version_misses_nothing_of_its_selection(world: World) -> None:
    begin = world.objects.version
    world.devbox()
    world.objects.create(PODS, "ns", POD)
    world.objects.create(PODS, "elsewhere", POD)
    world.objects.patch(PODS, "ns", "box", {"metadata": {"labels": {"app": None}}})
    everywhere = world.objects.since(begin, PODS)
    assert [change.type for change in everywhere] == ["ADDED", "ADDED", "MODIFIED"]
    here = world.objects.since(begin, PODS, "ns", "app=devbox")
    assert [change.type for change in here] == ["ADDED"]
    assert world.objects.since(world.objects.version, PODS) == []


def test_a_reader_that_begins_too_early_is_told_so(world: World) -> None:
    world.devbox()
    for number in range(HISTORY_MAX + 1):
        world.objects.patch(DEVBOXES, "ns", "box", {"metadata": {"labels": {"n": str(number)}}})
    with pytest.raises(TooOld):
        world.objects.since(1, DEVBOXES)


def test_events_are_kept_up_to_a_limit(world: World) -> None:
    limit = EVENTS.kept_max
    assert limit is not None
    for _ in range(limit + 5):
        world.objects.create(EVENTS, "ns", {"metadata": {"generateName": "e-"}})
    assert len(world.objects.select(EVENTS)) == limit


def test_what_was_kept_comes_back_with_its_version(world: World) -> None:
    kept = world.devbox()
    other = World()
    other.objects.restore([(DEVBOXES, kept)])
    assert other.objects.get(DEVBOXES, "ns", "box") == kept
    secret = other.objects.create(SECRETS, "ns", {"metadata": {"name": "s"}})
    assert int(secret["metadata"]["resourceVersion"]) > int(kept["metadata"]["resourceVersion"])
