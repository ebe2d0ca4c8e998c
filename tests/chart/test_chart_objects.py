"""What the chart makes, queried as the cluster would see it."""

import base64
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import pytest
import yaml
from ranvier_operator.naming import LABEL_DEVBOX

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "ranvier"
Object = dict[str, Any]
SELECTOR = {"app.kubernetes.io/name", "app.kubernetes.io/instance", "app.kubernetes.io/component"}


class Rendered(Protocol):
    def one(self, kind: str, name: str) -> Object: ...
    def of(self, *kinds: str) -> list[Object]: ...
    def pods(self) -> Iterable[tuple[str, Object]]: ...
    def __iter__(self) -> Any: ...


class Helm(Protocol):
    def render(self, values: Any = None, release: str = "ranvier") -> Rendered: ...
    def run(self, *words: str, values: Any = None) -> Any: ...


def container(rendered: Rendered, kind: str, name: str) -> Object:
    (only,) = rendered.one(kind, name)["spec"]["template"]["spec"]["containers"]
    found: Object = only
    return found


def operator(rendered: Rendered) -> Object:
    return container(rendered, "Deployment", "ranvier-operator")


def apiserver(rendered: Rendered) -> Object:
    return container(rendered, "StatefulSet", "ranvier-apiserver")


def env(found: Object) -> dict[str, Any]:
    return {e["name"]: e.get("value", e.get("valueFrom")) for e in found["env"]}


def test_these_objects_and_no_others(default: Rendered) -> None:
    names = sorted((o["kind"], o["metadata"]["name"]) for o in default)
    assert names == [
        ("ClusterRole", "ranvier-apiserver"),
        ("ClusterRole", "ranvier-apiserver-tokens"),
        ("ClusterRole", "ranvier-edit"),
        ("ClusterRole", "ranvier-operator"),
        ("ClusterRole", "ranvier-view"),
        ("ClusterRoleBinding", "ranvier-apiserver"),
        ("ClusterRoleBinding", "ranvier-apiserver-tokens"),
        ("ClusterRoleBinding", "ranvier-operator"),
        ("Deployment", "ranvier-operator"),
        ("PersistentVolumeClaim", "ranvier-journal"),
        ("Pod", "ranvier-test-round-trip"),
        ("Role", "ranvier-apiserver-secrets"),
        ("Role", "ranvier-operator-lease"),
        ("RoleBinding", "ranvier-apiserver-secrets"),
        ("RoleBinding", "ranvier-operator-lease"),
        ("Secret", "ranvier-api-key"),
        ("Service", "ranvier-apiserver"),
        ("ServiceAccount", "ranvier-apiserver"),
        ("ServiceAccount", "ranvier-operator"),
        ("StatefulSet", "ranvier-apiserver"),
    ]


def test_objects_are_labelled_and_live_in_the_releases_namespace(default: Rendered) -> None:
    """But for the right to the Secrets of the namespace where the REST API makes devboxes."""
    for found in default:
        labels = found["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "Helm"
        assert labels["helm.sh/chart"].startswith("ranvier-")
        if not found["kind"].startswith("ClusterRole"):
            elsewhere = found["metadata"]["name"] == "ranvier-apiserver-secrets"
            place = "default" if elsewhere else "ranvier-system"
            assert found["metadata"]["namespace"] == place


def test_selectors_pick_their_own_pods_and_no_others(default: Rendered) -> None:
    pods = {name: pod["metadata"]["labels"].items() for name, pod in default.pods()}
    selectors = {
        "Deployment": default.one("Deployment", "ranvier-operator")["spec"]["selector"][
            "matchLabels"
        ],
        "StatefulSet": default.one("StatefulSet", "ranvier-apiserver")["spec"]["selector"][
            "matchLabels"
        ],
        "Service": default.one("Service", "ranvier-apiserver")["spec"]["selector"],
    }
    for selector in selectors.values():
        assert set(selector) == SELECTOR, "a selector never changes, so it holds no version"
    picked = {
        kind: [name for name, labels in pods.items() if selector.items() <= labels]
        for kind, selector in selectors.items()
    }
    assert picked == {
        "Deployment": ["ranvier-operator"],
        "StatefulSet": ["ranvier-apiserver"],
        "Service": ["ranvier-apiserver"],
    }


def test_every_pod_is_restricted_and_writes_only_where_it_is_mounted(default: Rendered) -> None:
    for _, pod in default.pods():
        spec = pod["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for unwanted in ("hostNetwork", "hostPID", "hostIPC"):
            assert unwanted not in spec
        for found in spec["containers"]:
            assert found["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in found["resources"]["limits"]
            assert found["resources"]["requests"].keys() == {"cpu", "memory"}


def test_every_pod_obeys_the_common_values(helm: Helm) -> None:
    common = {
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "infra", "operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
        "priorityClassName": "critical",
        "imagePullSecrets": [{"name": "registry"}],
    }
    rendered = helm.render(common | {"podAnnotations": {"a": "b"}, "podLabels": {"team": "x"}})
    for _, pod in rendered.pods():
        assert {name: pod["spec"][name] for name in common} == common
    for found in rendered.of("Deployment", "StatefulSet"):
        meta = found["spec"]["template"]["metadata"]
        assert meta["annotations"] == {"a": "b"}
        assert meta["labels"]["team"] == "x"


def test_the_tag_is_the_apps_version_and_a_digest_wins(helm: Helm, default: Rendered) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    images = {c["image"] for _, pod in default.pods() for c in pod["spec"]["containers"]}
    assert images == {f"ranvier/ranvier:{version}"}
    digest = "sha256:" + "0" * 64
    pinned = helm.render({"image": {"tag": "dev", "digest": digest}})
    images = {c["image"] for _, pod in pinned.pods() for c in pod["spec"]["containers"]}
    assert images == {f"ranvier/ranvier@{digest}"}
    assert env(operator(pinned))["RANVIER_BROKER_IMAGE"] == f"ranvier/ranvier@{digest}"


def test_probes_ask_the_two_health_pages(default: Rendered) -> None:
    for found, port in ((operator(default), "probes"), (apiserver(default), "http")):
        assert found["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": port}
        assert found["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": port}
    assert operator(default)["ports"] == [{"name": "probes", "containerPort": 8081}]
    assert apiserver(default)["ports"] == [
        {"name": "http", "containerPort": 8080},
        {"name": "metrics", "containerPort": 9090},
    ]


def test_metrics_have_a_port_of_their_own_and_a_pod_monitor_that_finds_it(helm: Helm) -> None:
    with_monitor = {"metrics": {"port": 9464, "podMonitor": {"enabled": True}}}
    rendered = helm.render(with_monitor)
    assert env(apiserver(rendered))["RANVIER_METRICS_PORT"] == "9464"
    monitor = rendered.one("PodMonitor", "ranvier-apiserver")["spec"]
    template = rendered.one("StatefulSet", "ranvier-apiserver")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    named = {port["name"] for port in apiserver(rendered)["ports"]}
    assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= named
    monitor = rendered.one("PodMonitor", "ranvier-operator")["spec"]
    template = rendered.one("Deployment", "ranvier-operator")["spec"]["template"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert monitor["podMetricsEndpoints"] == [{"port": "probes"}]
    without = helm.render({"metrics": {"enabled": False}})
    assert "RANVIER_METRICS_PORT" not in env(apiserver(without))


def test_an_ingress_leads_to_the_service_by_the_secret_of_its_host(helm: Helm) -> None:
    ingress = {"enabled": True, "host": "ranvier.example", "tlsSecret": "tls", "className": "own"}
    rendered = helm.render({"apiserver": {"ingress": ingress}})
    spec = rendered.one("Ingress", "ranvier-apiserver")["spec"]
    assert spec["ingressClassName"] == "own"
    assert spec["tls"] == [{"hosts": ["ranvier.example"], "secretName": "tls"}]
    (rule,) = spec["rules"]
    assert rule["host"] == "ranvier.example"
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/v1", "Prefix")
    service = rendered.one("Service", "ranvier-apiserver")
    assert path["backend"]["service"]["name"] == service["metadata"]["name"]
    named = {port["name"] for port in service["spec"]["ports"]}
    assert path["backend"]["service"]["port"]["name"] in named


def test_the_policies_let_in_operator_replicas_brokers_and_who_is_named(helm: Helm) -> None:
    client = {"podSelector": {"matchLabels": {"app": "mine"}}}
    monitoring = {"namespaceSelector": {"matchLabels": {"a": "b"}}}
    given = {"enabled": True, "clients": [client], "monitoring": [monitoring]}
    rendered = helm.render({"networkPolicy": given, "watchNamespaces": ["team-a"]})
    policies = {o["metadata"]["name"]: o["spec"] for o in rendered.of("NetworkPolicy")}
    assert set(policies) == {"ranvier-apiserver", "ranvier-operator"}
    pods = dict(rendered.pods())
    for name, spec in policies.items():
        labels = pods[name]["metadata"]["labels"]
        assert spec["podSelector"]["matchLabels"].items() <= labels.items()
        assert spec["policyTypes"] == ["Ingress"]
    api, metrics = policies["ranvier-apiserver"]["ingress"]
    assert api["ports"] == [{"port": "http"}]
    operators, replicas, test, brokers, own = api["from"]
    named = (
        (operators, "ranvier-operator"),
        (replicas, "ranvier-apiserver"),
        (test, "ranvier-test-round-trip"),
    )
    for peer, pod in named:
        labels = pods[pod]["metadata"]["labels"]
        assert peer["podSelector"]["matchLabels"].items() <= labels.items()
    assert brokers["podSelector"]["matchExpressions"] == [
        {"key": LABEL_DEVBOX, "operator": "Exists"}
    ]
    assert brokers["namespaceSelector"]["matchLabels"] == {"kubernetes.io/metadata.name": "team-a"}
    assert own == client
    assert metrics == {"ports": [{"port": "metrics"}], "from": [monitoring]}
    probes = {"ports": [{"port": "probes"}], "from": [monitoring]}
    assert policies["ranvier-operator"]["ingress"] == [probes]


def test_the_operator_finds_the_api_server_and_speaks_with_a_token_of_its_own(
    helm: Helm, default: Rendered
) -> None:
    variables = env(operator(default))
    assert variables["RANVIER_API_URL"] == "http://ranvier-apiserver.ranvier-system.svc:8080"
    assert variables["RANVIER_WATCH_NAMESPACES"] == ""
    volumes = default.one("Deployment", "ranvier-operator")["spec"]["template"]["spec"]["volumes"]
    (source,) = next(v for v in volumes if v["name"] == "ranvier-token")["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == "ranvier"
    mounts = {m["name"]: m["mountPath"] for m in operator(default)["volumeMounts"]}
    path = f"{mounts['ranvier-token']}/{source['serviceAccountToken']['path']}"
    assert variables["RANVIER_TOKEN_FILE"] == path
    assert not path.startswith("/var/run/secrets/kubernetes.io"), "there lies the default token"

    other = env(operator(helm.render({"watchNamespaces": ["a", "b"]})))
    assert other["RANVIER_WATCH_NAMESPACES"] == "a,b"


@pytest.mark.parametrize("account", ["", "mine"])
def test_the_api_server_knows_the_operator_by_name(helm: Helm, account: str) -> None:
    rendered = helm.render({"operator": {"serviceAccount": {"name": account}}})
    name = rendered.one("Deployment", "ranvier-operator")["spec"]["template"]["spec"][
        "serviceAccountName"
    ]
    subject = env(apiserver(rendered))["RANVIER_OPERATOR_SUBJECT"]
    assert subject == f"system:serviceaccount:ranvier-system:{name}"


def test_the_variables_are_those_that_the_programs_read(default: Rendered) -> None:
    for found, package in (
        (operator(default), "operator/ranvier_operator"),
        (apiserver(default), "apiserver/ranvier_apiserver"),
    ):
        sources = "".join(path.read_text() for path in (ROOT / package).rglob("*.py"))
        for name in env(found):
            flag = "--" + name.removeprefix("RANVIER_").lower().replace("_", "-")
            read = re.search(rf"\b{name}\b", sources) or f'"{flag}"' in sources
            assert read, f"{package} does not read {name}"


def test_the_api_key_is_random_and_where_the_api_server_looks(
    helm: Helm, default: Rendered
) -> None:
    keys = {
        base64.b64decode(r.one("Secret", "ranvier-api-key")["data"]["api-key"]).decode()
        for r in (default, helm.render())
    }
    assert len(keys) == 2
    assert all(re.fullmatch(r"rvk_[A-Za-z0-9]{48}", key) for key in keys)

    mine = helm.render({"auth": {"existingSecret": "mine", "existingSecretKey": "k"}})
    assert mine.of("Secret") == []
    for rendered, secret, key in ((default, "ranvier-api-key", "api-key"), (mine, "mine", "k")):
        spec = rendered.one("StatefulSet", "ranvier-apiserver")["spec"]["template"]["spec"]
        volume = next(v for v in spec["volumes"] if v["name"] == "api-keys")
        mounts = {m["name"]: m["mountPath"] for m in apiserver(rendered)["volumeMounts"]}
        assert volume["secret"]["secretName"] == secret
        assert env(apiserver(rendered))["RANVIER_API_KEYS_FILE"] == f"{mounts['api-keys']}/{key}"
        test = rendered.one("Pod", "ranvier-test-round-trip")["spec"]["containers"][0]
        assert env(test)["RANVIER_API_KEY"] == {"secretKeyRef": {"name": secret, "key": key}}


def test_the_journal_has_one_writer_and_outlives_the_release(helm: Helm, default: Rendered) -> None:
    stateful = default.one("StatefulSet", "ranvier-apiserver")["spec"]
    assert stateful["replicas"] == 1
    claim = default.one("PersistentVolumeClaim", "ranvier-journal")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"]

    def journal(rendered: Rendered) -> Object:
        spec = rendered.one("StatefulSet", "ranvier-apiserver")["spec"]["template"]["spec"]
        found: Object = next(v for v in spec["volumes"] if v["name"] == "journal")
        return found

    assert journal(default)["persistentVolumeClaim"] == {"claimName": "ranvier-journal"}
    assert env(apiserver(default))["RANVIER_DATA"] == "/data"
    mine = helm.render({"apiserver": {"persistence": {"existingClaim": "mine"}}})
    assert journal(mine)["persistentVolumeClaim"] == {"claimName": "mine"}
    assert mine.of("PersistentVolumeClaim") == []
    trial = helm.render({"apiserver": {"persistence": {"enabled": False}}})
    assert journal(trial)["emptyDir"] == {}
    assert trial.of("PersistentVolumeClaim") == []


def test_a_journal_on_postgresql_takes_its_url_from_a_secret_and_no_volume(helm: Helm) -> None:
    journal = {"existingSecret": "database", "existingSecretKey": "uri"}
    rendered = helm.render({"apiserver": {"journal": journal, "replicas": 3}})
    stateful = rendered.one("StatefulSet", "ranvier-apiserver")["spec"]
    assert stateful["replicas"] == 3
    secret = {"secretKeyRef": {"name": "database", "key": "uri"}}
    assert env(apiserver(rendered))["RANVIER_JOURNAL"] == secret
    assert "RANVIER_DATA" not in env(apiserver(rendered))
    assert rendered.of("PersistentVolumeClaim") == []
    assert [v["name"] for v in stateful["template"]["spec"]["volumes"]] == ["api-keys", "tmp"]
    (budget,) = rendered.of("PodDisruptionBudget")
    assert budget["metadata"]["name"] == "ranvier-apiserver"
    assert budget["spec"]["selector"] == stateful["selector"]


@pytest.mark.parametrize(("replicas", "budgets"), [(1, 0), (2, 1)])
def test_a_disruption_budget_never_blocks_a_single_operator(
    helm: Helm, replicas: int, budgets: int
) -> None:
    rendered = helm.render({"operator": {"replicas": replicas}})
    found = rendered.of("PodDisruptionBudget")
    assert len(found) == budgets
    assert all(budget["spec"]["maxUnavailable"] == 1 for budget in found)


@pytest.mark.parametrize(
    ("release", "prefix"), [("ranvier", "ranvier"), ("prod", "prod-ranvier"), ("x" * 53, None)]
)
def test_names_follow_the_release(helm: Helm, release: str, prefix: str | None) -> None:
    rendered = helm.render(release=release)
    names = [o["metadata"]["name"] for o in rendered]
    assert all(len(name) <= 63 for name in names)
    (stateful,) = rendered.of("StatefulSet")
    assert len(stateful["metadata"]["name"]) <= 52, "its pods' revision label would be too long"
    assert prefix is None or all(name.startswith(f"{prefix}-") for name in names)


def test_the_notes_say_how_to_go_on(helm: Helm) -> None:
    done = helm.run("install", "ranvier", str(CHART), "--dry-run=client", "--namespace", "there")
    assert done.returncode == 0, done.stderr
    for step in (
        "kubectl -n there get secret ranvier-api-key -o jsonpath='{.data.api-key}' | base64 -d",
        "kubectl -n there port-forward svc/ranvier-apiserver 8080:8080",
        "kubectl -n ranvier-demo apply -f examples/",
        "helm test ranvier -n there",
        "Helm installs the CRDs but never upgrades them",
    ):
        assert step in done.stdout
    trial = {"apiserver": {"persistence": {"enabled": False}}}
    done = helm.run("install", "ranvier", str(CHART), "--dry-run=client", values=trial)
    assert "All events are lost" in done.stdout


def test_the_chart_tells_catalogues_about_its_crds() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["kubeVersion"] == ">=1.29.0-0", "native sidecars"
    listed = yaml.safe_load(chart["annotations"]["artifacthub.io/crds"])
    names = {yaml.safe_load(file.read_text())["metadata"]["name"] for file in CHART.glob("crds/*")}
    assert {crd["name"] for crd in listed} == names
    examples = yaml.safe_load(chart["annotations"]["artifacthub.io/crdsExamples"])
    assert [example["kind"] for example in examples] == ["Axon", "Blueprint", "Devbox"]
