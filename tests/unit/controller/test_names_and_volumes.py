"""Names that always fit, and the claim that outlives a sleep."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier.resources import Devbox
from ranvier_operator.manifests.volume import adjustment, amount, home_claim, is_ours
from ranvier_operator.naming import label_value, labels, owner_reference, volume_name
from ranvier_operator.observed import VolumeSeen, volume_seen
from ranvier_operator.resolution import HomeWanted, resolve

NAMES = st.from_regex(r"\A[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")


def devbox(name: str = "box", **spec: Any) -> Devbox:
    return Devbox.read(
        {
            "kind": "Devbox",
            "metadata": {"name": name, "namespace": "here", "uid": "u1"},
            "spec": {"image": "agents:1", **spec},
        }
    )


def home_of(box: Devbox) -> HomeWanted:
    pod = resolve(box, None, {}).pod
    assert pod is not None
    return pod.home


def claim(box: Devbox, **metadata: Any) -> VolumeSeen:
    body = home_claim(box, home_of(box))
    return volume_seen({**body, "metadata": {**body["metadata"], "uid": "v1", **metadata}})


@given(NAMES, NAMES)
def test_names_fit_and_stay_apart(one: str, other: str) -> None:
    assert len(volume_name(one)) <= 253
    assert len(label_value(one)) <= 63
    assert label_value(one)[-1].isalnum()
    assert (volume_name(one) == volume_name(other)) is (one == other)
    assert (label_value(one) == label_value(other)) is (one == other)


def test_the_whole_claim() -> None:
    box = devbox(home={"size": "5Gi", "storageClassName": "fast"})
    assert home_claim(box, home_of(box)) == {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": "box-home",
            "namespace": "here",
            "labels": labels("box"),
            "ownerReferences": [owner_reference(box)],
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "5Gi"}},
            "storageClassName": "fast",
        },
    }


def test_a_claim_to_be_kept_has_no_owner() -> None:
    box = devbox(home={"deletionPolicy": "Retain"})
    assert "ownerReferences" not in home_claim(box, home_of(box))["metadata"]


def test_ours_is_what_we_own_or_what_was_kept_for_this_name() -> None:
    box = devbox()
    assert is_ours(box, claim(box))
    assert is_ours(box, claim(box, ownerReferences=[]))
    assert not is_ours(box, claim(box, ownerReferences=[], labels={}))
    stranger = {**owner_reference(box), "uid": "u2"}
    assert not is_ours(box, claim(box, ownerReferences=[stranger]))


def test_the_owner_follows_the_deletion_policy() -> None:
    box, kept = devbox(), devbox(home={"deletionPolicy": "Retain"})
    assert adjustment(kept, home_of(kept), claim(box)) == {
        "metadata": {"uid": "v1", "ownerReferences": []}
    }
    assert adjustment(box, home_of(box), claim(kept)) == {
        "metadata": {"uid": "v1", "ownerReferences": [owner_reference(box)]}
    }
    assert adjustment(box, home_of(box), claim(box)) is None
    assert adjustment(kept, home_of(kept), claim(kept)) is None


def test_a_claim_grows_and_never_shrinks() -> None:
    small, large = devbox(home={"size": "1Gi"}), devbox(home={"size": "1500Mi"})
    assert adjustment(large, home_of(large), claim(small)) == {
        "metadata": {"uid": "v1"},
        "spec": {"resources": {"requests": {"storage": "1500Mi"}}},
    }
    assert adjustment(small, home_of(small), claim(large)) is None


@pytest.mark.parametrize(
    ("less", "more"),
    [("1G", "1Gi"), ("999Mi", "1Gi"), ("1000Mi", "1.5Gi"), ("500m", "1"), ("1k", "1Ki")],
)
def test_quantities_compare_as_kubernetes_means_them(less: str, more: str) -> None:
    assert amount(less) < amount(more)
    assert amount("1024Mi") == amount("1Gi") == amount("1073741824")
    assert amount("1e3") == amount("1k")
