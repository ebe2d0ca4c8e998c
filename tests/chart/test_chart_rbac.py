"""The rights that the chart gives away: this list, and nothing beside it."""

from typing import Any, Protocol

import pytest

Object = dict[str, Any]

OPERATOR = [
    ("ranvier.dev", "axons blueprints devboxes", "get list watch"),
    ("ranvier.dev", "axons/status blueprints/status devboxes/status", "patch"),
    ("ranvier.dev", "devboxes/finalizers", "update"),
    ("", "pods persistentvolumeclaims", "get list watch create patch delete"),
    ("", "events", "create patch"),
]
LEASE = [
    ("coordination.k8s.io", "leases", "create"),
    ("coordination.k8s.io", "leases", "get update"),
]
APISERVER = [
    ("", "pods", "get"),
    ("ranvier.dev", "devboxes blueprints", "get list watch create patch"),
    ("ranvier.dev", "blueprints", "delete"),
    ("ranvier.dev", "devboxes/status", "patch"),
]
SECRETS = [("", "secrets", "get list create patch delete")]
TOKENS = [("authentication.k8s.io", "tokenreviews", "create")]
VIEW = [
    (
        "ranvier.dev",
        "axons axons/status blueprints blueprints/status devboxes devboxes/status",
        "get list watch",
    )
]
EDIT = [("ranvier.dev", "axons blueprints devboxes", "create delete deletecollection patch update")]


class Rendered(Protocol):
    def one(self, kind: str, name: str) -> Object: ...
    def of(self, *kinds: str) -> list[Object]: ...


class Helm(Protocol):
    def render(self, values: Any = None, release: str = "ranvier") -> Rendered: ...


def rights(role: Object) -> list[tuple[str, str, str]]:
    """A role's rules in short."""
    return [
        (group, " ".join(rule["resources"]), " ".join(rule["verbs"]))
        for rule in role["rules"]
        for group in rule["apiGroups"]
    ]


def roles(rendered: Rendered) -> dict[tuple[str, str, str], list[tuple[str, str, str]]]:
    return {
        (role["kind"], role["metadata"].get("namespace", ""), role["metadata"]["name"]): rights(
            role
        )
        for role in rendered.of("Role", "ClusterRole")
    }


def bound(rendered: Rendered) -> set[tuple[str, str, str, str]]:
    """(namespace, role's kind, role's name, ServiceAccount) of every binding."""
    return {
        (
            binding["metadata"].get("namespace", ""),
            binding["roleRef"]["kind"],
            binding["roleRef"]["name"],
            f"{subject['namespace']}/{subject['name']}",
        )
        for binding in rendered.of("RoleBinding", "ClusterRoleBinding")
        for subject in binding["subjects"]
    }


@pytest.fixture(scope="module")
def narrowed(helm: Helm) -> Rendered:
    return helm.render({"watchNamespaces": ["team-a", "team-b"]})


def test_the_rights_are_exactly_these(default: Rendered) -> None:
    assert roles(default) == {
        ("ClusterRole", "", "ranvier-operator"): OPERATOR,
        ("Role", "ranvier-system", "ranvier-operator-lease"): LEASE,
        ("ClusterRole", "", "ranvier-apiserver"): APISERVER,
        ("Role", "default", "ranvier-apiserver-secrets"): SECRETS,
        ("ClusterRole", "", "ranvier-apiserver-tokens"): TOKENS,
        ("ClusterRole", "", "ranvier-view"): VIEW,
        ("ClusterRole", "", "ranvier-edit"): EDIT,
    }


def test_the_rights_go_to_our_two_service_accounts(default: Rendered) -> None:
    operator, apiserver = "ranvier-system/ranvier-operator", "ranvier-system/ranvier-apiserver"
    assert bound(default) == {
        ("", "ClusterRole", "ranvier-operator", operator),
        ("ranvier-system", "Role", "ranvier-operator-lease", operator),
        ("", "ClusterRole", "ranvier-apiserver", apiserver),
        ("default", "Role", "ranvier-apiserver-secrets", apiserver),
        ("", "ClusterRole", "ranvier-apiserver-tokens", apiserver),
    }


def test_the_lease_is_only_our_own(default: Rendered) -> None:
    role = default.one("Role", "ranvier-operator-lease")
    named = [rule for rule in role["rules"] if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [["ranvier-operator"]]


def test_with_named_namespaces_nothing_reaches_beyond_them_but_token_reviews(
    narrowed: Rendered,
) -> None:
    assert roles(narrowed) == {
        ("Role", "team-a", "ranvier-operator"): OPERATOR,
        ("Role", "team-b", "ranvier-operator"): OPERATOR,
        ("Role", "ranvier-system", "ranvier-operator-lease"): LEASE,
        ("Role", "team-a", "ranvier-apiserver"): APISERVER,
        ("Role", "team-b", "ranvier-apiserver"): APISERVER,
        ("Role", "team-a", "ranvier-apiserver-secrets"): SECRETS,
        ("ClusterRole", "", "ranvier-apiserver-tokens"): TOKENS,
        ("ClusterRole", "", "ranvier-view"): VIEW,
        ("ClusterRole", "", "ranvier-edit"): EDIT,
    }
    spread = {(namespace, kind) for namespace, kind, *_ in bound(narrowed)}
    assert spread == {
        ("team-a", "Role"),
        ("team-b", "Role"),
        ("ranvier-system", "Role"),
        ("", "ClusterRole"),
    }


def test_nothing_is_granted_by_wildcard_nor_on_secrets_elsewhere(
    default: Rendered, narrowed: Rendered
) -> None:
    for rendered in (default, narrowed):
        for role in rendered.of("Role", "ClusterRole"):
            text = str(role["rules"])
            for word in ("*", "escalate", "impersonate", "pods/exec"):
                assert word not in text
            if "secrets" in text:
                assert role["metadata"]["name"] == "ranvier-apiserver-secrets"
                assert role["kind"] == "Role"


def test_without_secrets_the_api_server_sees_none(helm: Helm) -> None:
    without = helm.render({"devboxes": {"secrets": False}})
    assert not any("secrets" in str(role) for role in without.of("Role", "ClusterRole"))


def test_view_and_edit_are_added_to_the_clusters_own_roles(default: Rendered) -> None:
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    added = {
        name: {
            label.removeprefix(prefix)
            for label in default.one("ClusterRole", name)["metadata"]["labels"]
            if label.startswith(prefix)
        }
        for name in ("ranvier-view", "ranvier-edit")
    }
    assert added == {
        "ranvier-view": {"view", "edit", "admin"},
        "ranvier-edit": {"edit", "admin"},
    }


def test_roles_can_be_left_to_the_administrator(helm: Helm) -> None:
    none = helm.render({"rbac": {"create": False, "aggregate": False}})
    assert none.of("Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding") == []


def test_service_accounts_of_ones_own_get_the_rights(helm: Helm) -> None:
    mine = helm.render({"operator": {"serviceAccount": {"create": False, "name": "mine"}}})
    assert ("", "ClusterRole", "ranvier-operator", "ranvier-system/mine") in bound(mine)
    assert [o["metadata"]["name"] for o in mine.of("ServiceAccount")] == ["ranvier-apiserver"]
