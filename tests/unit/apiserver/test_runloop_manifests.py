"""Runloop's create calls as resources, and resources as Runloop's views."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.resources import Blueprint, Devbox
from ranvier_apiserver.errors import BadInput, InvalidField, RanvierError
from ranvier_apiserver.fleet.paging import Ask, page_of
from ranvier_apiserver.runloop import blueprints, launch, manifest, naming, sizes, view
from ranvier_apiserver.runloop import mounts as mount_words
from ranvier_apiserver.runloop.manifest import Place, Source
from ranvier_apiserver.runloop.params import (
    CreateBlueprint,
    CreateDevbox,
    LaunchParams,
    UpdateDevbox,
)

NOW = datetime(2026, 11, 21, 10, tzinfo=UTC)
PLACE = Place("here", "box-1", "ab12")
MOUNT = {"type": "broker_mount", "axon_id": "axn_1", "agent_binary": "opencode"}


REPOSITORY = {"repo_owner": "o", "repo_name": "tool"}


def resource(**fields: Any) -> dict[str, Any]:
    params = CreateDevbox.model_validate(fields)
    manifest.check(params)
    names = {name: f"held-{name}" for name in (params.secrets or {}).values()}
    return manifest.devbox(params, PLACE, Source(image="x"), names)


def shown(body: dict[str, Any]) -> dict[str, Any]:
    body = {**body, "metadata": {**body["metadata"], "uid": "u"}}
    return view.devbox_view(view.read(body), None, NOW)


def refusal(**fields: Any) -> str:
    with pytest.raises(RanvierError) as caught:
        resource(**fields)
    assert isinstance(caught.value, BadInput | InvalidField)
    return str(caught.value)


def test_the_smallest_call_makes_a_whole_devbox() -> None:
    body = resource()
    assert body["metadata"]["annotations"] == {"ranvier.dev/request": "ab12"}
    assert body["spec"] == {
        "image": "x",
        "lifecycle": {"keepAliveSeconds": 3600},
        "mounts": [],
        "env": [],
        "metadata": {},
    }
    assert Devbox.read(body).spec.lifecycle.keep_alive_seconds == 3600


@pytest.mark.parametrize(
    "sent",
    [
        {"keep_alive_time_seconds": 60},
        {"launch_commands": ["a", "b"], "keep_alive_time_seconds": 1},
        {"resource_size_request": "X_SMALL", "keep_alive_time_seconds": 1},
        {
            "resource_size_request": "CUSTOM_SIZE",
            "custom_cpu_cores": 0.5,
            "custom_gb_memory": 2,
            "custom_disk_size": 10,
            "keep_alive_time_seconds": 1,
        },
        {"architecture": "x86_64", "keep_alive_time_seconds": 1},
        {"user_parameters": {"username": "w", "uid": 7}, "keep_alive_time_seconds": 1},
    ],
)
def test_launch_parameters_come_back_as_they_were_given(sent: dict[str, Any]) -> None:
    got = shown(resource(launch_parameters=sent))["launch_parameters"]
    del got["lifecycle"]
    assert got == sent


@given(st.sampled_from(sorted(sizes.SIZES)))
def test_every_size_is_recognised_again(size: str) -> None:
    spec = launch.pod_settings(LaunchParams.model_validate({"resource_size_request": size}))
    devbox = Devbox.read({"metadata": {"name": "n"}, "spec": {"image": "x", **spec}})
    assert launch.view(devbox.spec)["resource_size_request"] == size


def test_an_idle_rule_stands_in_either_place_and_ends_the_keep_alive_time() -> None:
    idle = {"idle_time_seconds": 9, "on_idle": "shutdown"}
    for sent in ({"after_idle": idle}, {"lifecycle": {"after_idle": idle}}):
        body = resource(launch_parameters={**sent, "keep_alive_time_seconds": 5})
        assert body["spec"]["lifecycle"] == {
            "afterIdle": {"idleTimeSeconds": 9, "onIdle": "Shutdown"}
        }
        got = shown(body)["launch_parameters"]
        assert got["after_idle"] == got["lifecycle"]["after_idle"] == idle
    both = {"after_idle": idle, "lifecycle": {"after_idle": {**idle, "idle_time_seconds": 8}}}
    assert "differ" in refusal(launch_parameters=both)


def test_resume_triggers_are_taken_over() -> None:
    sent = {"lifecycle": {"resume_triggers": {"axon_event": False}}}
    body = resource(launch_parameters=sent)
    assert body["spec"]["lifecycle"]["resumeTriggers"] == {"axonEvent": False}


def test_files_and_code_mean_the_same_in_both_of_their_places() -> None:
    code = {**REPOSITORY, "git_ref": "v1", "install_command": "make", "token": "t0ken"}
    new = resource(
        mounts=[
            {"type": "file_mount", "target": "~/a", "content": "b"},
            {"type": "code_mount", **code},
            MOUNT,
        ]
    )["spec"]["mounts"]
    old = resource(mounts=[MOUNT], file_mounts={"~/a": "b"}, code_mounts=[code])["spec"]["mounts"]
    wanted = {
        "url": "https://github.com/o/tool.git",
        "path": "tool",
        "ref": "v1",
        "installCommand": "make",
    }
    for mounts, index in ((new, 1), (old, 2)):
        assert {"fileMount": {"path": "~/a", "content": "b"}} in mounts
        token = {"name": "box-1-code", "key": f"token-{index}"}
        assert mounts[index]["codeMount"] == {**wanted, "tokenSecret": token}
    assert "t0ken" not in str(new + old)
    params = CreateDevbox.model_validate({"mounts": [MOUNT], "code_mounts": [code]})
    assert mount_words.tokens(params) == {"token-1": "t0ken"}


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"blueprint_id": "a", "blueprint_name": "b"}, "at most one"),
        ({"snapshot_id": "s"}, "snapshots are not served"),
        ({"tunnel": {"auth_mode": "open"}}, "make a Service"),
        ({"gateways": {"A": {}}}, "use secrets"),
        ({"mounts": [{"type": "object_mount"}]}, "object_mount is not served"),
        ({"file_mounts": {"/a/": "b"}}, "name the file"),
        ({"file_mounts": {"/a": "b\0"}}, "no NUL"),
        ({"file_mounts": {"/a": "b" * 262_145}}, "upload larger"),
        ({"file_mounts": {f"/{n}": "ü" * 100_000 for n in range(3)}}, "524288 bytes"),
        ({"file_mounts": {f"/{n}": "" for n in range(33)}}, "at most 32"),
        ({"mounts": [{"type": "code_mount", "repo_owner": "o"}]}, "repo_owner and repo_name"),
        ({"code_mounts": [{**REPOSITORY, "git_ref": "--upload-pack=x"}]}, "git_ref"),
        ({"mounts": [{"type": "broker_mount"}]}, "name the axon"),
        ({"mounts": [{"type": "broker_mount", "axon_id": "a"}]}, "no default agent"),
        ({"mounts": [{**MOUNT, "protocol": "telnet"}]}, "must be of acp"),
        ({"mounts": [MOUNT] * 9}, "at most 8"),
        ({"environment_variables": {"RANVIER_X": "1"}}, "belong to the system"),
        ({"environment_variables": {"A": "1"}, "secrets": {"A": "s"}}, "choose one"),
        ({"launch_parameters": {"network_policy_id": "n"}}, "not served"),
        ({"launch_parameters": {"user_parameters": {"username": "root", "uid": 0}}}, "root"),
        ({"launch_parameters": {"custom_cpu_cores": 1}}, "CUSTOM_SIZE only"),
        ({"launch_parameters": {"resource_size_request": "CUSTOM_SIZE"}}, "needs custom_cpu"),
        (
            {
                "launch_parameters": {
                    "lifecycle": {"lifecycle_hooks": {"suspend_commands": ["sync"]}}
                }
            },
            "leave them out",
        ),
    ],
)
def test_what_is_not_served_is_refused_by_name(fields: dict[str, Any], sentence: str) -> None:
    assert sentence in refusal(**fields)


@pytest.mark.parametrize(
    ("cores", "memory", "disk"),
    [
        (3, 8, None),
        (18, 64, None),
        (1, 3, None),
        (1, 16, None),
        (4, 4, None),
        (1, 2, 3),
        (1, 2, 66),
    ],
)
def test_custom_sizes_have_runloops_limits(cores: float, memory: int, disk: int | None) -> None:
    custom = {
        "resource_size_request": "CUSTOM_SIZE",
        "custom_cpu_cores": cores,
        "custom_gb_memory": memory,
        "custom_disk_size": disk,
    }
    assert "launch_parameters" in refusal(launch_parameters=custom)


def test_protocols_without_a_binary_have_their_own() -> None:
    body = resource(mounts=[{"type": "broker_mount", "axon_id": "a", "protocol": "claude_json"}])
    assert body["spec"]["mounts"] == [{"brokerMount": {"axonId": "a", "protocol": "claude_json"}}]


def test_an_update_replaces_the_whole_metadata_and_leaves_the_rest() -> None:
    old = {"a": "1", "b": "2"}
    changed = manifest.update(UpdateDevbox(metadata={"b": "3"}), old)
    assert changed == {"spec": {"metadata": {"a": None, "b": "3"}}}
    assert manifest.update(UpdateDevbox(name="n"), old) == {"spec": {"displayName": "n"}}
    assert manifest.update(UpdateDevbox(), old) == {"spec": {}}


def test_a_devbox_that_can_not_be_read_is_shown_with_its_condition() -> None:
    ready = {
        "type": "Ready",
        "status": "False",
        "reason": "SpecInvalid",
        "message": "mounts: wrong",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }
    body = {
        "metadata": {"name": "n", "uid": "u"},
        "spec": {"mounts": 7},
        "status": {"conditions": [ready]},
    }
    got = view.devbox_view(view.read(body), None, NOW)
    assert (got["status"], got["ranvier"]["message"]) == ("failure", "mounts: wrong")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [(None, 10.0), (0.0998, 0.0998), (500.0, 30.0), (float("nan"), 10.0), (float("inf"), 10.0)],
)
def test_a_wait_is_as_long_as_asked_within_its_limit(asked: float | None, seconds: float) -> None:
    assert manifest.patience(asked, 10.0, 30.0) == seconds


@given(st.text(max_size=80), st.binary(min_size=1, max_size=8))
def test_every_name_becomes_one_that_kubernetes_takes(wanted: str, seed: bytes) -> None:
    name = naming.object_name(wanted, seed, "devbox")
    assert naming.object_name(wanted, seed, "devbox") == name
    assert len(name) <= 63
    assert name.isascii()
    assert name == name.lower().strip("-")
    assert name.replace("-", "").isalnum()


def test_a_dockerfile_of_one_line_names_the_image() -> None:
    assert blueprints.image_of("# ours\n\nfrom  a/b:1\n") == "a/b:1"
    for other in (None, "", "FROM a\nRUN b", "RUN a", "FROM"):
        with pytest.raises(InvalidField, match="builds no images"):
            blueprints.image_of(other)


def test_a_blueprint_is_complete_unless_it_can_not_be_read() -> None:
    params = CreateBlueprint(name="Mine", dockerfile="FROM a:1")
    body = blueprints.blueprint(params, PLACE)
    body["metadata"]["uid"] = "u"
    got = blueprints.view(Blueprint.read(body))
    assert (got["id"], got["name"], got["status"]) == ("bpt_u", "Mine", "build_complete")
    with pytest.raises(InvalidField, match="system_setup_commands: needs a build"):
        blueprints.blueprint(params.model_copy(update={"system_setup_commands": ["a"]}), PLACE)


@given(st.integers(0, 20), st.integers(1, 7))
def test_pages_show_everything_once_in_order(count: int, limit: int) -> None:
    items = [f"i{number}" for number in range(count)]
    seen: list[str] = []
    has_more = True
    while has_more:
        after = seen[-1] if seen else None
        shown_now, rest = page_of(items, Ask(limit, after, True), str)
        seen += shown_now
        has_more = rest["has_more"]
        assert rest["total_count"] == count
    assert seen == items


def test_a_page_after_something_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadInput, match="starting_after"):
        page_of(["a"], Ask(1, "gone", False), str)
