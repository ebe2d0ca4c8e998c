"""Which cluster, which node image, which tools: the choices `hack/cluster` makes."""

import json
from pathlib import Path

import pytest
from kind.cli import main
from kind.go_toolchain import new_enough
from kind.image_transfer import full_reference, missing_images
from kind.kind_cluster import kind_config
from kind.node_image import stock_image_runs
from kind.places import Places
from kind.target import ClusterRecord, NamedContext, named_context, read_record, write_record
from kind.tools import fits, tool_path


def test_without_a_word_from_the_user_the_cluster_is_ours() -> None:
    assert named_context(None, {"KUBECONFIG": "/k"}) is None
    assert named_context(None, {"RANVIER_CONTEXT": ""}) is None


def test_a_named_context_is_looked_up_in_the_users_kubeconfig() -> None:
    assert named_context(None, {"RANVIER_CONTEXT": "prod", "HOME": "/home/me"}) == NamedContext(
        "prod", "/home/me/.kube/config"
    )
    environment = {"RANVIER_CONTEXT": "prod", "KUBECONFIG": "/k"}
    assert named_context("stage", environment) == NamedContext("stage", "/k")


def test_images_are_loaded_only_into_contexts_that_kind_made() -> None:
    assert NamedContext("kind-mine", "/k").kind_cluster == "mine"
    assert NamedContext("prod", "/k").kind_cluster is None


def test_down_refuses_a_context_of_the_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path))
    monkeypatch.setenv("RANVIER_STATE", "/tmp/unused-state")
    assert main(["down", "--context", "prod"]) == 1
    said = capsys.readouterr().err
    assert "nothing of it is deleted" in said
    assert "next:" in said
    assert list(tmp_path.iterdir()) == []


def test_kubeconfig_says_what_to_do_when_there_is_no_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANVIER_CACHE", str(tmp_path))
    monkeypatch.delenv("RANVIER_STATE", raising=False)
    monkeypatch.delenv("RANVIER_CONTEXT", raising=False)
    assert main(["kubeconfig"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hack/cluster up" in captured.err


def test_the_cluster_of_a_state_is_remembered_and_forgotten(tmp_path: Path) -> None:
    places = Places(tmp_path, tmp_path)
    assert read_record(places) is None
    record = ClusterRecord("ranvier", 2, "node:1")
    write_record(places, record)
    assert read_record(places) == record
    write_record(places, None)
    assert read_record(places) is None


@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_one_node_is_the_control_plane_and_the_others_are_workers(nodes: int) -> None:
    config = json.loads(kind_config(nodes))
    assert [node["role"] for node in config["nodes"]] == ["control-plane"] + ["worker"] * (
        nodes - 1
    )
    assert config["apiVersion"] == "kind.x-k8s.io/v1alpha4"


@pytest.mark.parametrize(
    ("cgroups", "capability_is_missing", "runs"),
    [("2", False, True), ("1", False, False), ("2", True, False), ("1", True, False)],
)
def test_the_stock_node_image_wants_cgroup_v2_and_every_capability(
    cgroups: str, capability_is_missing: bool, runs: bool
) -> None:
    assert stock_image_runs(cgroups, capability_is_missing) is runs


@pytest.mark.parametrize(
    ("reference", "full"),
    [
        ("busybox", "docker.io/library/busybox:latest"),
        ("ranvier/ranvier:dev", "docker.io/ranvier/ranvier:dev"),
        ("ranvier.local/busybox:1", "ranvier.local/busybox:1"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
    ],
)
def test_references_are_compared_as_a_node_lists_them(reference: str, full: str) -> None:
    assert full_reference(reference) == full


def test_an_image_is_loaded_when_one_node_lacks_that_very_content() -> None:
    def node(**held: str) -> str:
        images = [
            {"id": held_id, "repoTags": [f"docker.io/a/{name}:1"]} for name, held_id in held.items()
        ]
        return json.dumps({"images": images})

    wanted = {"a/same:1": "sha256:1", "a/older:1": "sha256:2", "a/elsewhere:1": "sha256:3"}
    nodes = [
        node(same="sha256:1", older="sha256:0", elsewhere="sha256:3"),
        node(same="sha256:1", older="sha256:2"),
    ]
    assert missing_images(wanted, nodes) == ["a/older:1", "a/elsewhere:1"]


@pytest.mark.parametrize(
    ("name", "said", "expected"),
    [
        ("kind", "kind v0.33.0 go1.26.6 linux/amd64", True),
        ("kind", "kind v0.32.0 go1.26.6 linux/amd64", False),
        ("kubectl", "Client Version: v1.37.1\nKustomize Version: v5.8.0", True),
        ("kubectl", "Client Version: v1.32.4", False),
        ("helm", "v4.0.2+g1234567", True),
        ("helm", "v3.19.0+g1234567", False),
        ("helm", "nothing like a version", False),
    ],
)
def test_a_tool_of_the_machine_is_used_when_its_version_fits(
    name: str, said: str, expected: bool
) -> None:
    assert fits(name, said) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("go1.26.6", True), ("go1.27rc1", True), ("go1.25.9", False), ("", False)],
)
def test_a_go_that_is_too_old_is_not_used(said: str, expected: bool) -> None:
    assert new_enough(said) is expected


def test_brought_tools_come_first_on_the_path_and_only_once() -> None:
    places = Places(Path("/c"), Path("/c/state"))
    first = tool_path(places, {"PATH": "/usr/bin:/bin"})
    assert first == "/c/state/bin:/usr/bin:/bin"
    assert tool_path(places, {"PATH": first}) == first
