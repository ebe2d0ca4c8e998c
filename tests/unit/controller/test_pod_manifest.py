"""The pod as a whole, and the parts of it that depend on the spec."""

from typing import Any

import pytest
from ranvier.resources import Axon, Blueprint, Devbox
from ranvier_operator.manifests.pod import devbox_pod
from ranvier_operator.resolution import resolve
from ranvier_operator.settings import Settings

SETTINGS = Settings(
    api_url="http://ranvier-apiserver.ranvier-system",
    broker_image="example.test/ranvier:0.1.0",
)
META = {"name": "fixer", "namespace": "team", "uid": "u-1", "generation": 3}
MOUNT = {
    "axonRef": {"name": "fixer"},
    "protocol": "acp",
    "agentBinary": "opencode",
    "launchArgs": ["acp"],
}
AXON = Axon.read({"metadata": {"name": "fixer"}, "status": {"axonId": "axn_1"}})


def pod_of(spec: dict[str, Any], blueprint: dict[str, Any] | None = None) -> dict[str, Any]:
    devbox = Devbox.read({"kind": "Devbox", "metadata": META, "spec": spec})
    plan = Blueprint.read({"metadata": {"name": "bp"}, "spec": blueprint}) if blueprint else None
    resolved = resolve(devbox, plan, {"fixer": AXON})
    assert resolved.pod is not None, resolved.problem
    return devbox_pod(devbox, resolved.pod, 7, SETTINGS)


def container_of(pod: dict[str, Any]) -> dict[str, Any]:
    container: dict[str, Any] = pod["spec"]["containers"][0]
    return container


def test_the_whole_pod() -> None:
    """DESIGN.md, section 4. Whatever changes here changes every devbox."""
    assert pod_of({"image": "agents:1", "mounts": [{"brokerMount": MOUNT}]}) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "fixer",
            "namespace": "team",
            "labels": {
                "app.kubernetes.io/name": "devbox",
                "app.kubernetes.io/instance": "fixer",
                "app.kubernetes.io/component": "devbox",
                "app.kubernetes.io/part-of": "ranvier",
                "app.kubernetes.io/managed-by": "ranvier-operator",
                "ranvier.dev/devbox": "fixer",
            },
            "annotations": {"ranvier.dev/generation": "7"},
            "ownerReferences": [
                {
                    "apiVersion": "ranvier.dev/v1alpha1",
                    "kind": "Devbox",
                    "name": "fixer",
                    "uid": "u-1",
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "initContainers": [
                {
                    "name": "broker",
                    "image": "example.test/ranvier:0.1.0",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["ranvier-broker"],
                    "restartPolicy": "Always",
                    "env": [
                        {
                            "name": "RANVIER_API_URL",
                            "value": "http://ranvier-apiserver.ranvier-system",
                        },
                        {"name": "RANVIER_DEVBOX_UID", "value": "u-1"},
                        {"name": "RANVIER_DEVBOX_NAME", "value": "fixer"},
                        {"name": "RANVIER_NAMESPACE", "value": "team"},
                        {"name": "RANVIER_GENERATION", "value": "7"},
                        {"name": "RANVIER_HOME", "value": "/home/user"},
                        {
                            "name": "RANVIER_MOUNTS",
                            "value": '[{"index": 0, "axon_id": "axn_1", "protocol": "acp", '
                            '"agent_binary": "opencode", "launch_args": ["acp"], '
                            '"working_directory": "/home/user", "silence_deadline_seconds": 1800, '
                            '"turn_deadline_seconds": null, "cancel_grace_seconds": 10}]',
                        },
                        {
                            "name": "RANVIER_TOKEN_FILE",
                            "value": "/var/run/secrets/ranvier/token",
                        },
                        {"name": "RANVIER_IO_DIR", "value": "/ranvier/io"},
                        {"name": "RANVIER_BIN_DIR", "value": "/ranvier/bin"},
                        {"name": "RANVIER_EXECUTIONS_DIR", "value": "/ranvier/executions"},
                        {"name": "RANVIER_HOME_DIR", "value": "/ranvier/home"},
                        {"name": "RANVIER_READY_PORT", "value": "8089"},
                        {
                            "name": "RANVIER_POD_UID",
                            "valueFrom": {
                                "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.uid"}
                            },
                        },
                    ],
                    "ports": [{"name": "ready", "containerPort": 8089, "protocol": "TCP"}],
                    "readinessProbe": {
                        "httpGet": {"path": "/readyz", "port": 8089},
                        "periodSeconds": 1,
                        "timeoutSeconds": 1,
                        "failureThreshold": 3,
                    },
                    "resources": {
                        "requests": {"cpu": "10m", "memory": "64Mi"},
                        "limits": {"memory": "512Mi"},
                    },
                    "volumeMounts": [
                        {"name": "io", "mountPath": "/ranvier/io"},
                        {"name": "bin", "mountPath": "/ranvier/bin"},
                        {"name": "executions", "mountPath": "/ranvier/executions"},
                        {"name": "home", "mountPath": "/ranvier/home", "readOnly": True},
                        {
                            "name": "token",
                            "mountPath": "/var/run/secrets/ranvier",
                            "readOnly": True,
                        },
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                        "readOnlyRootFilesystem": True,
                    },
                }
            ],
            "containers": [
                {
                    "name": "devbox",
                    "image": "agents:1",
                    "command": [
                        "/bin/sh",
                        "-c",
                        "until [ -f /ranvier/bin/launcher.sh ]; do sleep 0.05 || sleep 1; done; "
                        "exec /bin/sh /ranvier/bin/launcher.sh /ranvier/io",
                    ],
                    "workingDir": "/home/user",
                    "env": [{"name": "HOME", "value": "/home/user"}],
                    "volumeMounts": [
                        {"name": "home", "mountPath": "/home/user"},
                        {"name": "io", "mountPath": "/ranvier/io"},
                        {"name": "bin", "mountPath": "/ranvier/bin", "readOnly": True},
                    ],
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
            "volumes": [
                {"name": "home", "persistentVolumeClaim": {"claimName": "fixer-home"}},
                {"name": "io", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}},
                {"name": "bin", "emptyDir": {"sizeLimit": "8Mi"}},
                {"name": "executions", "emptyDir": {"sizeLimit": "4Gi"}},
                {
                    "name": "token",
                    "projected": {
                        "sources": [
                            {
                                "serviceAccountToken": {
                                    "audience": "ranvier",
                                    "expirationSeconds": 3600,
                                    "path": "token",
                                }
                            }
                        ]
                    },
                },
            ],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 10,
            "serviceAccountName": "default",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 1000,
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "tolerations": [
                {
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 30,
                },
                {
                    "key": "node.kubernetes.io/unreachable",
                    "operator": "Exists",
                    "effect": "NoExecute",
                    "tolerationSeconds": 30,
                },
            ],
        },
    }


def test_the_agents_container_has_no_token_and_can_not_write_the_launcher() -> None:
    pod = pod_of({"image": "agents:1"})
    mounts = {mount["name"]: mount for mount in container_of(pod)["volumeMounts"]}
    assert set(mounts) == {"home", "io", "bin"}
    assert mounts["bin"]["readOnly"]


def test_a_devboxs_values_win_over_its_blueprints() -> None:
    blueprint = {
        "image": "base:1",
        "env": [{"name": "A", "value": "base"}, {"name": "B", "value": "base"}],
        "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "1Gi"}},
        "nodeSelector": {"disk": "ssd", "zone": "a"},
        "imagePullSecrets": [{"name": "base"}],
        "user": {"uid": 2000},
        "home": {"size": "5Gi", "path": "/home/base"},
        "runtimeClassName": "gvisor",
    }
    spec = {
        "blueprintName": "bp",
        "env": [{"name": "B", "value": "own"}, {"name": "C", "value": "own"}],
        "resources": {"limits": {"memory": "2Gi"}},
        "nodeSelector": {"zone": "b"},
        "home": {"path": "/work"},
    }
    pod = pod_of(spec, blueprint)
    container = container_of(pod)
    assert container["image"] == "base:1"
    assert {item["name"]: item["value"] for item in container["env"]} == {
        "HOME": "/work",
        "A": "base",
        "B": "own",
        "C": "own",
    }
    assert container["resources"] == {"requests": {"cpu": "1"}, "limits": {"memory": "2Gi"}}
    assert container["workingDir"] == "/work"
    assert pod["spec"]["nodeSelector"] == {"disk": "ssd", "zone": "b"}
    assert pod["spec"]["imagePullSecrets"] == [{"name": "base"}]
    assert pod["spec"]["runtimeClassName"] == "gvisor"
    assert pod["spec"]["securityContext"]["runAsUser"] == 2000
    assert pod["spec"]["securityContext"]["fsGroup"] == 2000


@pytest.mark.parametrize("value", ["$(HOME)", "$$", "a$b", "$((1+1))", "100 $"])
def test_values_of_variables_arrive_as_they_were_written(value: str) -> None:
    """Kubernetes expands $(NAME) and turns $$ into $; the resource promises neither."""
    pod = pod_of({"image": "agents:1", "env": [{"name": "X", "value": value}]})
    written = container_of(pod)["env"][1]["value"]
    assert written.replace("$$", "$") == value
    assert written.count("$") == 2 * value.count("$")


def test_the_users_tolerations_replace_ours_key_by_key() -> None:
    own = {"key": "node.kubernetes.io/unreachable", "operator": "Exists"}
    pod = pod_of({"image": "agents:1", "tolerations": [own]})
    keys = [(item["key"], item.get("tolerationSeconds")) for item in pod["spec"]["tolerations"]]
    assert keys == [
        ("node.kubernetes.io/unreachable", None),
        ("node.kubernetes.io/not-ready", 30),
    ]


def test_an_alias_of_a_protocol_reaches_the_broker_as_the_word_it_knows() -> None:
    mount = {"axonId": "axn_2", "protocol": "codex_json", "launchArgs": ["-c", "x=1"]}
    pod = pod_of({"image": "agents:1", "mounts": [{"brokerMount": mount}]})
    env = {item["name"]: item.get("value", "") for item in pod["spec"]["initContainers"][0]["env"]}
    assert '"protocol": "codex_app_server"' in env["RANVIER_MOUNTS"]
    assert '"agent_binary": "codex"' in env["RANVIER_MOUNTS"]
    assert '"launch_args": ["app-server", "-c", "x=1"]' in env["RANVIER_MOUNTS"]


def test_a_variable_can_come_from_a_secret() -> None:
    entry = {"name": "keys", "key": "a"}
    env = [{"name": "A", "valueFrom": {"secretKeyRef": entry}}, {"name": "B", "value": "$(A)"}]
    assert container_of(pod_of({"image": "x", "env": env}))["env"][1:] == [
        {"name": "A", "valueFrom": {"secretKeyRef": entry}},
        {"name": "B", "value": "$$(A)"},
    ]


def test_launch_commands_come_from_the_blueprint_unless_the_devbox_has_its_own() -> None:
    blueprint = {"image": "x", "launchCommands": ["theirs"]}
    start = container_of(pod_of({"blueprintName": "bp"}, blueprint))["command"]
    assert start[3:] == ["ranvier-start", "theirs"]
    own = pod_of({"blueprintName": "bp", "launchCommands": ["a $HOME", "b"]}, blueprint)
    assert container_of(own)["command"][3:] == ["ranvier-start", "a $$HOME", "b"]


def test_a_pod_with_an_entrypoint_is_not_started_again() -> None:
    pod = pod_of({"image": "x", "entrypoint": "serve"})
    assert pod["spec"]["restartPolicy"] == "Never"
    assert container_of(pod)["command"][3:] == ["ranvier-start", "serve"]
