"""What the API server stores and shows: defaults, the status subresource, columns, explanations."""

from typing import Any, Protocol

LOOKS_MAX = 20
"""An operator on the cluster may write the status between two looks, but it stops."""
MOUNT = {"brokerMount": {"axonRef": {"name": "fixer"}, "agentBinary": "opencode"}}


class Kubectl(Protocol):
    def read(self, *words: str, body: Any = None) -> str: ...
    def get(self, *words: str) -> Any: ...


def apply(kubectl: Kubectl, kind: str, name: str, **parts: Any) -> None:
    meta = {"apiVersion": "ranvier.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    kubectl.read("apply", "--filename", "-", body=meta | parts)


def condition(kind: str, status: str, reason: str, message: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-21T10:00:00Z",
    }


def test_defaults_are_written_out(kubectl: Kubectl) -> None:
    apply(
        kubectl,
        "Devbox",
        "defaults",
        spec={"operatingMode": "Suspended", "image": "x", "mounts": [MOUNT], "home": {}},
    )
    written = {"protocol": "acp", "silenceDeadlineSeconds": 1800, "cancelGraceSeconds": 10}
    assert kubectl.get("devbox", "defaults")["spec"] == {
        "operatingMode": "Suspended",
        "image": "x",
        "mounts": [{"brokerMount": MOUNT["brokerMount"] | written}],
        "lifecycle": {"resumeTriggers": {"axonEvent": True}},
        "home": {"deletionPolicy": "Delete"},
    }
    apply(kubectl, "Axon", "defaults")
    assert kubectl.get("axon", "defaults")["spec"] == {"deletionPolicy": "Retain"}


def test_get_devbox_says_suspended_and_why(kubectl: Kubectl) -> None:
    """Held, so an operator that happens to run says the same thing: the table shows what stands in
    the conditions, whoever wrote them."""
    spec = {"operatingMode": "Suspended", "image": "x", "mounts": [MOUNT]}
    apply(kubectl, "Devbox", "shown", spec=spec)
    status = {
        "conditions": [
            condition("Ready", "False", "Suspended", "held by operatingMode: Suspended"),
            condition("Suspended", "True", "OwnerRequested", "held by operatingMode: Suspended"),
        ]
    }
    words = ("patch", "devbox", "shown", "--subresource=status", "--type=merge")
    kubectl.read(*words, "--patch-file=/dev/stdin", body={"status": status})
    for _ in range(LOOKS_MAX):
        before = kubectl.get("dbx", "shown")
        table = kubectl.read("get", "dbx", "shown")
        if kubectl.get("dbx", "shown")["status"] == before["status"]:
            break
    else:
        raise AssertionError("the status never stood still between two looks")
    head, row = table.splitlines()
    assert head.split() == ["NAME", "READY", "STATE", "WHY", "AXON", "AGE"]
    conditions = {found["type"]: found for found in before["status"]["conditions"]}
    ready = conditions["Ready"]
    assert row.split()[:3] == ["shown", ready["status"], ready["reason"]]
    assert ready["message"] in row
    assert row.split()[-2] == "fixer"
    wide = kubectl.read("get", "dbx", "shown", "--output", "wide").splitlines()[0].split()
    assert wide == ["NAME", "READY", "STATE", "WHY", "AXON", "GENERATION", "IMAGE", "AGE"]


def test_a_manifest_does_not_write_the_status(kubectl: Kubectl) -> None:
    apply(kubectl, "Axon", "claims", spec={}, status={"axonId": "axn_claimed"})
    stored = kubectl.get("axon", "claims")
    assert stored.get("status", {}).get("axonId") != "axn_claimed"


def test_short_names_and_the_category_work(kubectl: Kubectl) -> None:
    apply(kubectl, "Blueprint", "named", spec={"image": "x"})
    assert kubectl.get("bp", "named")["kind"] == "Blueprint"
    assert "blueprint.ranvier.dev/named" in kubectl.read("get", "ranvier", "--output", "name")


def test_explain_is_documentation(kubectl: Kubectl) -> None:
    text = " ".join(kubectl.read("explain", "devbox.spec.operatingMode").split())
    assert "no event wakes it" in text
    assert "processes and memory are gone" in text
