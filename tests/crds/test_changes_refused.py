"""What may be changed in a devbox that exists, and the sentence with which the rest is refused."""

import copy
import uuid
from collections.abc import Callable
from typing import Any, Protocol

import pytest

FIXED_AXONS = """the axons of a devbox and their order are fixed when it is made;
    make a new devbox to serve another axon, and delete this one"""
FIXED_CLASS = """home.storageClassName is fixed when the devbox is made;
    make a new devbox to use another storage class"""
NO_SHRINKING = "home.size can not shrink; set the old size or a larger one"


class Kubectl(Protocol):
    def refusal(self, body: Any) -> str: ...
    def read(self, *words: str, body: Any = None) -> str: ...


def mount(**axon: Any) -> dict[str, Any]:
    return {"brokerMount": {"protocol": "acp", "agentBinary": "opencode", **axon}}


DEVBOX: dict[str, Any] = {
    "operatingMode": "Suspended",
    "image": "example/agent:1",
    "mounts": [mount(axonRef={"name": "a"}), mount(axonId="axn_b")],
    "lifecycle": {"afterIdle": {"idleTimeSeconds": 60}},
    "home": {"size": "2Gi", "storageClassName": "fast"},
}
BARE = {"operatingMode": "Suspended", "image": "example/agent:1"}

Change = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def existing(kubectl: Kubectl) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Makes a devbox with a spec and returns its manifest; nothing runs, since it is held."""

    def make(spec: dict[str, Any]) -> dict[str, Any]:
        body = {
            "apiVersion": "ranvier.dev/v1alpha1",
            "kind": "Devbox",
            "metadata": {"name": f"held-{uuid.uuid4().hex[:8]}"},
            "spec": copy.deepcopy(spec),
        }
        kubectl.read("apply", "--filename", "-", body=body)
        return body

    return make


@pytest.mark.parametrize(
    ("spec", "change", "sentence"),
    [
        pytest.param(
            DEVBOX,
            lambda spec: spec["mounts"][0]["brokerMount"].update(axonRef={"name": "other"}),
            FIXED_AXONS,
            id="another axonRef",
        ),
        pytest.param(
            DEVBOX,
            lambda spec: spec["mounts"][1]["brokerMount"].update(axonId="axn_other"),
            FIXED_AXONS,
            id="another axonId",
        ),
        pytest.param(
            DEVBOX,
            lambda spec: spec["mounts"].__setitem__(0, mount(axonId="a")),
            FIXED_AXONS,
            id="axonId instead of axonRef",
        ),
        pytest.param(
            DEVBOX, lambda spec: spec["mounts"].reverse(), FIXED_AXONS, id="another order"
        ),
        pytest.param(DEVBOX, lambda spec: spec["mounts"].pop(), FIXED_AXONS, id="one mount less"),
        pytest.param(DEVBOX, lambda spec: spec.pop("mounts"), FIXED_AXONS, id="no mounts left"),
        pytest.param(
            BARE,
            lambda spec: spec.update(mounts=[mount(axonId="axn_1")]),
            FIXED_AXONS,
            id="a mount where none was",
        ),
        pytest.param(
            DEVBOX,
            lambda spec: spec["home"].update(storageClassName="slow"),
            FIXED_CLASS,
            id="another storage class",
        ),
        pytest.param(
            DEVBOX, lambda spec: spec.pop("home"), FIXED_CLASS, id="home with its class taken away"
        ),
        pytest.param(
            BARE,
            lambda spec: spec.update(home={"storageClassName": "fast"}),
            FIXED_CLASS,
            id="a storage class where none was",
        ),
        pytest.param(
            DEVBOX,
            lambda spec: spec["home"].update(size="2000Mi"),
            NO_SHRINKING,
            id="a smaller home",
        ),
    ],
)
def test_a_change_that_can_not_be_made_is_refused_with_the_way_out(
    kubectl: Kubectl,
    existing: Callable[[dict[str, Any]], dict[str, Any]],
    spec: dict[str, Any],
    change: Change,
    sentence: str,
) -> None:
    body = existing(spec)
    change(body["spec"])
    assert " ".join(sentence.split()) in kubectl.refusal(body)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda spec: spec.update(operatingMode="Running"), id="resumed"),
        pytest.param(
            lambda spec: spec["mounts"][0]["brokerMount"].update(launchArgs=["acp", "--debug"]),
            id="other arguments",
        ),
        pytest.param(
            lambda spec: spec["mounts"][0]["brokerMount"].update(protocol="claude_json"),
            id="another protocol",
        ),
        pytest.param(lambda spec: spec["home"].update(size="3Gi"), id="a larger home"),
        pytest.param(lambda spec: spec["home"].update(size="2048Mi"), id="the same size"),
        pytest.param(
            lambda spec: spec.update(lifecycle={"afterIdle": {"idleTimeSeconds": 5}}),
            id="another idle time",
        ),
        pytest.param(lambda spec: spec.update(image="example/agent:2"), id="another image"),
    ],
)
def test_everything_else_may_change(
    kubectl: Kubectl, existing: Callable[[dict[str, Any]], dict[str, Any]], change: Change
) -> None:
    body = existing(DEVBOX)
    change(body["spec"])
    assert kubectl.refusal(body) == ""
