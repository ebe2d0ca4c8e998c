"""The chart's values: each does something, is described, and is refused when it is wrong."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml

CHART = Path(__file__).parents[2] / "charts" / "ranvier"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())


class Helm(Protocol):
    def run(self, *words: str, values: Any = None) -> Any: ...
    def render(self, values: Any = None, release: str = "ranvier") -> list[dict[str, Any]]: ...
    def refusal(self, values: Any) -> str: ...


TOGGLES: dict[str, Any] = {
    "nameOverride": "nerve",
    "fullnameOverride": "nerve",
    "image.repository": "example/ranvier",
    "image.tag": "9.9.9",
    "image.digest": "sha256:" + "a" * 64,
    "image.pullPolicy": "Always",
    "imagePullSecrets": [{"name": "registry"}],
    "watchNamespaces": ["team-a", "team-b"],
    "devboxes.namespace": "team-b",
    "devboxes.defaultImage": "example/agents:1",
    "devboxes.secrets": False,
    "auth.existingSecret": "my-key",
    "auth.existingSecretKey": "token",
    "rbac.create": False,
    "rbac.aggregate": False,
    "operator.replicas": 2,
    "operator.logLevel": "DEBUG",
    "operator.workers": 4,
    "operator.devboxServiceAccountName": "agents",
    "operator.resources": {"limits": {"cpu": 2}},
    "operator.extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
    "operator.serviceAccount.create": False,
    "operator.serviceAccount.name": "mine",
    "operator.serviceAccount.annotations": {"a": "b"},
    "apiserver.replicas": 2,
    "apiserver.journal.existingSecret": "database",
    "apiserver.journal.existingSecretKey": "uri",
    "apiserver.logLevel": "WARNING",
    "apiserver.auditLog": False,
    "apiserver.resources": {"requests": {"memory": "1Gi"}},
    "apiserver.extraEnv": [
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    ],
    "apiserver.service.type": "LoadBalancer",
    "apiserver.service.port": 80,
    "apiserver.service.annotations": {"a": "b"},
    "apiserver.ingress.enabled": True,
    "apiserver.ingress.className": "nginx",
    "apiserver.ingress.host": "ranvier.example",
    "apiserver.ingress.tlsSecret": "ranvier-tls",
    "apiserver.ingress.paths": ["/"],
    "apiserver.ingress.annotations": {"a": "b"},
    "apiserver.persistence.enabled": False,
    "apiserver.persistence.size": "100Gi",
    "apiserver.persistence.storageClass": "fast",
    "apiserver.persistence.accessMode": "ReadWriteOncePod",
    "apiserver.persistence.existingClaim": "my-claim",
    "apiserver.serviceAccount.create": False,
    "apiserver.serviceAccount.name": "mine",
    "apiserver.serviceAccount.annotations": {"a": "b"},
    "metrics.enabled": False,
    "metrics.port": 9464,
    "metrics.podMonitor.enabled": True,
    "metrics.podMonitor.labels": {"release": "prometheus"},
    "networkPolicy.enabled": True,
    "networkPolicy.clients": [{"podSelector": {"matchLabels": {"app": "mine"}}}],
    "networkPolicy.monitoring": [{"ipBlock": {"cidr": "10.1.2.0/24"}}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "agents"},
    "nodeSelector": {"disk": "ssd"},
    "tolerations": [{"key": "infra", "operator": "Exists"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "system-cluster-critical",
}
"""Another value than the default for every value there is."""


ON_POSTGRESQL: dict[str, Any] = {"apiserver": {"journal": {"existingSecret": "database"}}}

INGRESS: dict[str, Any] = {"apiserver": {"ingress": {"enabled": True}}}

NEEDS: dict[str, dict[str, Any]] = {
    "apiserver.replicas": ON_POSTGRESQL,
    "apiserver.journal.existingSecretKey": ON_POSTGRESQL,
    "apiserver.ingress.className": INGRESS,
    "apiserver.ingress.host": INGRESS,
    "apiserver.ingress.tlsSecret": {
        "apiserver": {"ingress": {"enabled": True, "host": "ranvier.example"}}
    },
    "apiserver.ingress.paths": INGRESS,
    "apiserver.ingress.annotations": INGRESS,
    "networkPolicy.clients": {"networkPolicy": {"enabled": True}},
    "networkPolicy.monitoring": {"networkPolicy": {"enabled": True}},
    "metrics.podMonitor.labels": {"metrics": {"podMonitor": {"enabled": True}}},
}
"""Values that do something only together with these."""


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    found: dict[str, Any] = value
    return found


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, level by level; the other wins."""
    both = {**one, **other}
    for name in one.keys() & other.keys():
        if isinstance(one[name], dict) and isinstance(other[name], dict):
            both[name] = merged(one[name], other[name])
    return both


def leaves(values: Any, schema: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every value with its schema; maps whose keys are the user's are values."""
    if schema.get("additionalProperties") is False and path not in TOGGLES:
        for name, value in values.items():
            child = schema["properties"][name]
            yield from leaves(value, child, f"{path}.{name}" if path else name)
    else:
        yield path, values, schema


LEAVES = {path: (value, schema) for path, value, schema in leaves(VALUES, SCHEMA)}


def without_secrets(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The API key is another one each time that there is no cluster to look it up in."""
    return [{**o, "data": sorted(o["data"])} if o["kind"] == "Secret" else o for o in objects]


@pytest.mark.parametrize(
    "values",
    [{}, *(merged(NEEDS.get(p, {}), nested(p, v)) for p, v in TOGGLES.items())],
    ids=str,
)
def test_lint_is_strict_and_content(helm: Helm, values: dict[str, Any]) -> None:
    done = helm.run("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_value_has_a_toggle_here() -> None:
    assert set(TOGGLES) == set(LEAVES)


@pytest.mark.parametrize("path", TOGGLES)
def test_every_value_does_something(helm: Helm, path: str) -> None:
    assert TOGGLES[path] != LEAVES[path][0]
    needs = NEEDS.get(path, {})
    usual = helm.render(needs)
    other = helm.render(merged(needs, nested(path, TOGGLES[path])))
    assert without_secrets(usual) != without_secrets(other)


def test_everything_at_once_renders(helm: Helm) -> None:
    everything: dict[str, Any] = {}
    for path, value in TOGGLES.items():
        place = everything
        *folders, name = path.split(".")
        for folder in folders:
            place = place.setdefault(folder, {})
        place[name] = value
    assert helm.render(everything)


@pytest.mark.parametrize("path", LEAVES)
def test_every_value_is_described_in_schema_values_and_readme(path: str) -> None:
    value, schema = LEAVES[path]
    assert schema["description"].endswith(".")
    readme = (CHART / "README.md").read_text()
    assert f"| `{path}` | `{json.dumps(value)}` | {schema['description']} |" in readme
    if not path.endswith(".resources"):
        comments = "".join(
            line.strip().removeprefix("# -- ").removeprefix("# ") + " "
            for line in (CHART / "values.yaml").read_text().splitlines()
            if line.strip().startswith("#")
        )
        assert schema["description"] in comments


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"operator": {"replica": 2}}, "additional properties 'replica' not allowed"),
        ({"image": {"digest": "latest"}}, "/image/digest"),
        ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
        ({"operator": {"replicas": "two"}}, "/operator/replicas"),
        ({"operator": {"logLevel": "debug"}}, "/operator/logLevel"),
        ({"apiserver": {"persistence": {"size": "large"}}}, "/apiserver/persistence/size"),
        (
            {"apiserver": {"persistence": {"accessMode": "ReadWriteMany"}}},
            "/apiserver/persistence/accessMode",
        ),
        ({"apiserver": {"service": {"port": 0}}}, "/apiserver/service/port"),
        ({"apiserver": {"replicas": 2}}, "apiserver.journal.existingSecret"),
        ({"apiserver": {"journal": {"url": "postgresql://"}}}, "additional properties 'url'"),
        ({"watchNamespaces": "team-a"}, "/watchNamespaces"),
        (
            {"watchNamespaces": ["team-a"], "devboxes": {"namespace": "team-b"}},
            "not one of watchNamespaces",
        ),
        (
            {"apiserver": {"ingress": {"enabled": True, "tlsSecret": "ranvier-tls"}}},
            "apiserver.ingress.host",
        ),
        ({"networkPolicy": {"clients": [{"pods": {}}]}}, "/networkPolicy/clients/0"),
        ({"podAnnotations": {"a": 1}}, "/podAnnotations/a"),
        ({"imagePullSecrets": ["registry"]}, "/imagePullSecrets/0"),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(
    helm: Helm, values: dict[str, Any], sentence: str
) -> None:
    assert sentence in helm.refusal(values)


def test_the_chart_may_be_part_of_another(helm: Helm) -> None:
    """Helm hands a `global` to every chart below."""
    assert helm.render({"global": {"imageRegistry": "example"}})
