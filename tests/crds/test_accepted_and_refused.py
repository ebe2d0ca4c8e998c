"""What the API server takes, and the sentence with which it refuses the rest.

For every constraint that has a sentence of ours, and for every one that users are likely to meet,
there is one accepted and one refused manifest. A rule without its pair here fails the last test.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

ROOT = Path(__file__).parents[2]
AXON_REF = {"axonRef": {"name": "fixer"}}
OPENCODE = {"agentBinary": "opencode", "launchArgs": ["acp"]}


class Kubectl(Protocol):
    def refusal(self, body: Any) -> str: ...
    def read(self, *words: str, body: Any = None) -> str: ...


def manifest(kind: str, spec: dict[str, Any] | None, name: str = "one") -> dict[str, Any]:
    body = {"apiVersion": "ranvier.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    return body if spec is None else body | {"spec": spec}


def box(**spec: Any) -> dict[str, Any]:
    """A devbox that is held, so that no operator starts it."""
    spec.setdefault("operatingMode", "Suspended")
    if "blueprintName" not in spec:
        spec.setdefault("image", "example/agent:1")
    return manifest("Devbox", {name: value for name, value in spec.items() if value is not None})


def broker(**mount: Any) -> dict[str, Any]:
    return box(mounts=[{"brokerMount": mount}])


def idle(**after: Any) -> dict[str, Any]:
    return box(lifecycle={"afterIdle": after})


def axon(**spec: Any) -> dict[str, Any]:
    return manifest("Axon", spec)


def blueprint(**spec: Any) -> dict[str, Any]:
    return manifest("Blueprint", spec)


@dataclass(frozen=True)
class Pair:
    """`refused` differs from `accepted` in the one thing that `sentence` is about."""

    about: str
    accepted: dict[str, Any]
    refused: dict[str, Any]
    sentence: str


PAIRS = [
    Pair(
        "a source: none",
        box(image="example/agent:1"),
        box(image=None),
        "set exactly one of blueprintName (a Blueprint of this namespace, with its image and "
        "defaults) and image (a container image)",
    ),
    Pair(
        "a source: both",
        box(blueprintName="axon-agents"),
        box(blueprintName="axon-agents", image="example/agent:1"),
        "set exactly one of blueprintName (a Blueprint of this namespace",
    ),
    Pair(
        "a mount's axon: none",
        broker(**AXON_REF, **OPENCODE),
        broker(**OPENCODE),
        "set exactly one of axonRef (an Axon resource of this namespace) and axonId (an axon made "
        "through the REST API)",
    ),
    Pair(
        "a mount's axon: both",
        broker(axonId="axn_1", **OPENCODE),
        broker(axonId="axn_1", **AXON_REF, **OPENCODE),
        "set exactly one of axonRef (an Axon resource of this namespace)",
    ),
    Pair(
        "a mount's axon: reference without a name",
        broker(**AXON_REF, **OPENCODE),
        broker(axonRef={}, **OPENCODE),
        "spec.mounts[0].brokerMount.axonRef.name: Required value",
    ),
    Pair(
        "protocol",
        broker(**AXON_REF, protocol="codex_app_server"),
        broker(**AXON_REF, protocol="mcp"),
        'spec.mounts[0].brokerMount.protocol: Unsupported value: "mcp": supported values: "acp", '
        '"claude_json", "codex_app_server", "codex_json", "pi_json"',
    ),
    Pair(
        "acp's agent",
        broker(**AXON_REF, protocol="acp", agentBinary="opencode"),
        broker(**AXON_REF, protocol="acp"),
        "acp has no default agent: set agentBinary, for example opencode with launchArgs [acp]",
    ),
    Pair(
        "a mount has a key",
        broker(**AXON_REF, **OPENCODE),
        box(mounts=[{}]),
        "each mount has exactly one key; set brokerMount, fileMount or codeMount",
    ),
    Pair(
        "a mount has one key",
        box(mounts=[{"fileMount": {"path": "a"}}, {"codeMount": {"url": "https://x.org/y.git"}}]),
        box(mounts=[{"fileMount": {"path": "a"}, "codeMount": {"url": "https://x.org/y.git"}}]),
        "each mount has exactly one key; set brokerMount, fileMount or codeMount",
    ),
    Pair(
        "number of broker mounts",
        box(mounts=[{"brokerMount": AXON_REF | OPENCODE}] * 8),
        box(mounts=[{"brokerMount": AXON_REF | OPENCODE}] * 9),
        "a devbox has at most 8 broker mounts; make a second devbox for the others",
    ),
    Pair(
        "number of mounts",
        box(mounts=[{"fileMount": {"path": "a"}}] * 32),
        box(mounts=[{"fileMount": {"path": "a"}}] * 33),
        "spec.mounts: Too many: 33: must have at most 32 items",
    ),
    Pair(
        "working directory",
        broker(**AXON_REF, **OPENCODE, workingDirectory="/home/user/src"),
        broker(**AXON_REF, **OPENCODE, workingDirectory="src"),
        "spec.mounts[0].brokerMount.workingDirectory",
    ),
    Pair(
        "deadlines of a turn",
        broker(**AXON_REF, **OPENCODE, silenceDeadlineSeconds=60, turnDeadlineSeconds=3600),
        broker(**AXON_REF, **OPENCODE, silenceDeadlineSeconds=0),
        "spec.mounts[0].brokerMount.silenceDeadlineSeconds",
    ),
    Pair(
        "idle time",
        idle(idleTimeSeconds=1),
        idle(idleTimeSeconds=0),
        "idleTimeSeconds is a number of seconds from 1 up; to keep a devbox running, leave "
        "afterIdle out",
    ),
    Pair(
        "idle time missing",
        idle(idleTimeSeconds=60, onIdle="Shutdown"),
        idle(onIdle="Shutdown"),
        "spec.lifecycle.afterIdle.idleTimeSeconds: Required value",
    ),
    Pair(
        "on idle",
        idle(idleTimeSeconds=60, onIdle="Suspend"),
        idle(idleTimeSeconds=60, onIdle="Hibernate"),
        'spec.lifecycle.afterIdle.onIdle: Unsupported value: "Hibernate": supported values: '
        '"Suspend", "Shutdown"',
    ),
    Pair(
        "resume trigger",
        box(lifecycle={"resumeTriggers": {"axonEvent": False}}),
        box(lifecycle={"resumeTriggers": {"axonEvent": "Never"}}),
        "spec.lifecycle.resumeTriggers.axonEvent",
    ),
    Pair(
        "operating mode",
        box(operatingMode="Suspended"),
        box(operatingMode="Paused"),
        'spec.operatingMode: Unsupported value: "Paused": supported values: "Running", "Suspended"',
    ),
    Pair(
        "reserved environment",
        box(env=[{"name": "RANVIERX", "value": "1"}]),
        box(env=[{"name": "RANVIER_API_URL", "value": "http://elsewhere"}]),
        "names that start with RANVIER_ belong to the system; choose another name",
    ),
    Pair(
        "environment twice",
        box(env=[{"name": "A", "value": "1"}, {"name": "B"}]),
        box(env=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]),
        "spec.env[1]: Duplicate value",
    ),
    Pair(
        "environment from one place",
        box(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}}}]),
        box(
            env=[
                {
                    "name": "A",
                    "value": "1",
                    "valueFrom": {"secretKeyRef": {"name": "keys", "key": "a"}},
                }
            ]
        ),
        "set value (the text itself) or valueFrom (a Secret with it), not both",
    ),
    Pair(
        "keep-alive time",
        box(lifecycle={"keepAliveSeconds": 1}),
        box(lifecycle={"keepAliveSeconds": 0}),
        "keepAliveSeconds is a number of seconds from 1 up, or left out",
    ),
    Pair(
        "time to live",
        box(lifecycle={"ttlSeconds": 1}),
        box(lifecycle={"ttlSeconds": 0}),
        "ttlSeconds is a number of seconds from 1 up, or left out",
    ),
    Pair(
        "environment's value is text",
        box(env=[{"name": "A", "value": "1"}]),
        box(env=[{"name": "A", "value": 1}]),
        "spec.env[0].value",
    ),
    Pair(
        "user",
        box(user={"uid": 1}),
        box(user={"uid": 0}),
        "uid is a user id from 1 up: root (0) is refused, pods are PodSecurity restricted; choose "
        "the id of a user that the image knows",
    ),
    Pair(
        "size",
        box(home={"size": "1.5Gi", "storageClassName": "fast", "path": "/home/agent"}),
        box(home={"size": "large"}),
        "spec.home.size",
    ),
    Pair(
        "home's deletion policy",
        box(home={"deletionPolicy": "Retain"}),
        box(home={"deletionPolicy": "Keep"}),
        'spec.home.deletionPolicy: Unsupported value: "Keep": supported values: "Retain", "Delete"',
    ),
    Pair(
        "home's path",
        box(home={"path": "/home/agent"}),
        box(home={"path": "home"}),
        "spec.home.path",
    ),
    Pair(
        "compute resources",
        box(resources={"requests": {"cpu": 1, "memory": "512Mi"}, "limits": {"memory": "1Gi"}}),
        box(resources={"requests": {"cpu": "-1"}}),
        "spec.resources.requests.cpu",
    ),
    Pair(
        "tolerations",
        box(tolerations=[{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}]),
        box(tolerations=[{"key": "spot", "operator": "Like"}]),
        'spec.tolerations[0].operator: Unsupported value: "Like"',
    ),
    Pair(
        "taint effect",
        box(tolerations=[{"effect": "NoExecute", "operator": "Exists", "tolerationSeconds": 5}]),
        box(tolerations=[{"effect": "Never"}]),
        'spec.tolerations[0].effect: Unsupported value: "Never"',
    ),
    Pair(
        "pull policy",
        box(imagePullPolicy="Never", imagePullSecrets=[{"name": "registry"}]),
        box(imagePullPolicy="Sometimes"),
        'spec.imagePullPolicy: Unsupported value: "Sometimes"',
    ),
    Pair(
        "names of other objects",
        box(runtimeClassName="gvisor", nodeSelector={"disk": "ssd"}),
        box(runtimeClassName="gVisor"),
        "spec.runtimeClassName",
    ),
    Pair(
        "an unknown field",
        box(),
        box(idleSeconds=5),
        'unknown field "spec.idleSeconds"',
    ),
    Pair(
        "a devbox has a spec",
        box(),
        manifest("Devbox", None),
        "spec: Required value",
    ),
    Pair(
        "a blueprint has an image",
        blueprint(image="example/agent:1", env=[{"name": "A"}], home={"size": "2Gi"}),
        blueprint(env=[]),
        "spec.image: Required value",
    ),
    Pair(
        "a blueprint's environment",
        blueprint(image="example/agent:1", env=[{"name": "PATH", "value": "/bin"}]),
        blueprint(image="example/agent:1", env=[{"name": "RANVIER_X"}]),
        "names that start with RANVIER_ belong to the system; choose another name",
    ),
    Pair(
        "an axon may be empty",
        manifest("Axon", None),
        axon(deletionPolicy="Forget"),
        'spec.deletionPolicy: Unsupported value: "Forget": supported values: "Retain", "Delete"',
    ),
    Pair(
        "an axon's metadata",
        axon(metadata={f"key-{number}": "x" for number in range(64)}),
        axon(metadata={f"key-{number}": "x" for number in range(65)}),
        "spec.metadata: Too many: 65: must have at most 64 items",
    ),
]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.about)
def test_one_is_accepted_and_the_other_refused_with_a_sentence(
    kubectl: Kubectl, pair: Pair
) -> None:
    assert kubectl.refusal(pair.accepted) == ""
    refusal = kubectl.refusal(pair.refused)
    assert pair.sentence in refusal


def test_the_examples_are_accepted(kubectl: Kubectl) -> None:
    files = sorted((ROOT / "examples").glob("**/*.yaml"))
    assert len(files) >= 7
    for file in files:
        for document in yaml.safe_load_all(file.read_text()):
            assert kubectl.refusal(document) == "", file.name


def _rules(schema: Any) -> Iterator[dict[str, str]]:
    if isinstance(schema, dict):
        yield from schema.get("x-kubernetes-validations", [])
        for child in schema.values():
            yield from _rules(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from _rules(child)


def test_every_rule_of_the_crds_has_its_pair() -> None:
    """Needs no cluster. Transition rules have theirs in test_changes_refused.py."""
    proven = " ".join(pair.sentence for pair in PAIRS)
    proven += (Path(__file__).parent / "test_changes_refused.py").read_text()
    proven = " ".join(proven.replace('"', " ").split())
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        for rule in _rules(yaml.safe_load(file.read_text())):
            assert rule["message"] in proven
