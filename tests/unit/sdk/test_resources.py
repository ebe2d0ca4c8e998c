"""The resources as Python reads and writes them."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from pydantic import ValidationError
from ranvier.resources import (
    KINDS,
    AgentProtocol,
    Axon,
    Blueprint,
    Condition,
    DeletionPolicy,
    Devbox,
    DevboxStatus,
    Kind,
    OnIdle,
    OperatingMode,
    Wake,
)

DEVBOX: dict[str, Any] = {
    "apiVersion": "ranvier.dev/v1alpha1",
    "kind": "Devbox",
    "metadata": {"name": "fixer", "namespace": "demo", "uid": "u-1", "generation": 3},
    "spec": {
        "blueprintName": "axon-agents",
        "mounts": [
            {
                "brokerMount": {
                    "axonRef": {"name": "fixer"},
                    "protocol": "acp",
                    "agentBinary": "opencode",
                    "launchArgs": ["acp"],
                }
            }
        ],
        "lifecycle": {"afterIdle": {"idleTimeSeconds": 60, "onIdle": "Suspend"}},
    },
}


def test_a_manifest_is_read_with_its_camel_case_names() -> None:
    devbox = Devbox.read(DEVBOX)
    assert (devbox.metadata.uid, devbox.metadata.generation) == ("u-1", 3)
    mount = devbox.spec.mounts[0].broker_mount
    assert mount is not None
    assert mount.axon_ref is not None
    assert mount.axon_ref.name == "fixer"
    assert (mount.protocol, mount.agent_binary, mount.launch_args) == (
        AgentProtocol.ACP,
        "opencode",
        ("acp",),
    )
    assert devbox.spec.lifecycle.after_idle is not None
    assert devbox.spec.lifecycle.after_idle.idle_time_seconds == 60


def test_what_is_left_out_has_the_defaults_that_the_descriptions_promise() -> None:
    devbox = Devbox.read({"metadata": {"name": "plain"}, "spec": {"image": "x"}})
    assert devbox.spec.operating_mode is OperatingMode.RUNNING
    assert devbox.spec.mounts == ()
    assert devbox.spec.lifecycle.after_idle is None, "a devbox without afterIdle never sleeps"
    assert devbox.spec.lifecycle.resume_triggers.axon_event is True
    assert devbox.status == DevboxStatus()
    idle = Devbox.read(DEVBOX).spec.lifecycle.after_idle
    assert idle is not None
    assert idle.on_idle is OnIdle.SUSPEND
    axon = Axon.read({"metadata": {"name": "a"}})
    assert axon.spec.deletion_policy is DeletionPolicy.RETAIN
    boxed = Devbox.read({"metadata": {"name": "b"}, "spec": {"image": "x", "home": {}}})
    assert boxed.spec.home is not None
    assert boxed.spec.home.deletion_policy is DeletionPolicy.DELETE


def test_fields_of_a_newer_version_are_ignored() -> None:
    newer = {
        **DEVBOX,
        "spec": {
            **DEVBOX["spec"],
            "mounts": [{"fileMount": {"path": "/x"}}],
            "tomorrow": {"a": 1},
        },
        "status": {"tomorrow": True},
    }
    devbox = Devbox.read(newer)
    assert devbox.spec.mounts[0].broker_mount is None


def test_reading_leaves_the_limits_to_the_api_server() -> None:
    """What an older schema let in is still read; the API server refuses it when it is written."""
    old = {"image": "x", "lifecycle": {"afterIdle": {"idleTimeSeconds": 0}}}
    devbox = Devbox.read({"metadata": {"name": "old"}, "spec": old})
    assert devbox.spec.lifecycle.after_idle is not None
    assert devbox.spec.lifecycle.after_idle.idle_time_seconds == 0


def test_a_body_that_is_no_resource_is_named_as_such() -> None:
    with pytest.raises(ValidationError, match="spec"):
        Blueprint.read({"metadata": {"name": "no-spec"}})


def test_quantities_are_kept_as_they_were_written() -> None:
    spec = {"image": "x", "resources": {"requests": {"cpu": 1, "memory": "512Mi"}}}
    blueprint = Blueprint.read({"metadata": {"name": "b"}, "spec": spec})
    assert blueprint.spec.resources is not None
    assert blueprint.spec.resources.requests == {"cpu": 1, "memory": "512Mi"}


def test_a_status_is_written_in_kubernetes_words_without_what_is_unset() -> None:
    moment = datetime(2026, 11, 21, 10, 30, 5, 999, tzinfo=timezone(timedelta(hours=2)))
    status = DevboxStatus(
        observed_generation=3,
        conditions=(
            Condition(
                type="Ready",
                status="False",
                reason="Suspended",
                message="idle for 60 s",
                observed_generation=3,
                last_transition_time=moment,
            ),
        ),
        wake=Wake(generation=2, axon_id="axn_1", sequence=7, time=moment.astimezone(UTC)),
    )
    assert status.manifest() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "Suspended",
                "message": "idle for 60 s",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-11-21T08:30:05Z",
            }
        ],
        "wake": {
            "generation": 2,
            "axonId": "axn_1",
            "sequence": 7,
            "time": "2026-11-21T08:30:05Z",
        },
    }


def test_what_is_written_reads_back_the_same() -> None:
    devbox = Devbox.read(DEVBOX)
    assert Devbox.read(devbox.manifest()) == devbox


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_named_once_and_for_all_tools(kind: Kind) -> None:
    assert kind.model.model_fields["kind"].default == kind.name
    assert kind.plural.startswith(kind.singular)
    assert kind.columns[-1].name == "Age"


def test_short_names_are_told_apart() -> None:
    names = [name for kind in KINDS for name in (kind.short_name, kind.singular, kind.plural)]
    assert len(names) == len(set(names))
    assert [kind.short_name for kind in KINDS] == ["ax", "bp", "dbx"]
