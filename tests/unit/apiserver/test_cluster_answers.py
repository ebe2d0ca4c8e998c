"""What Kubernetes says about a token, and what a poke writes, with a client that answers so."""

from types import SimpleNamespace as Answer
from typing import Any

import pytest
from kubernetes.client.exceptions import ApiException
from ranvier_apiserver.cluster import (
    ClusterApi,
    KubernetesIdentities,
    KubernetesPoker,
    broker_of,
    patch_of,
)
from ranvier_apiserver.errors import IdentityUnavailable
from ranvier_apiserver.identities import Broker, Operator
from ranvier_apiserver.state import Wake
from ranvier_apiserver.waker import PokeFailed
from urllib3.exceptions import ProtocolError

OPERATOR = "system:serviceaccount:sys:op"
TOKEN = "head.body.signature"
WAKE = Wake("uid", "ns", "box", 2, "axn_1", 7, 1_600_000_000_123)


def owner(
    kind: str = "Devbox", group: str = "ranvier.dev/v1alpha1", controller: bool = True
) -> Any:
    return Answer(kind=kind, api_version=group, controller=controller, uid="devbox")


def pod(uid: str = "pod", owners: list[Any] | None = None) -> Any:
    return Answer(uid=uid, owner_references=[owner()] if owners is None else owners)


class Cluster(ClusterApi):
    """Plays the API server's part; says what it was asked."""

    def __init__(self, review: Any = None, metadata: Any = None, errors: list[Any] | None = None):
        self.asked: list[Any] = []
        self.errors = errors or []
        self.authentication = Answer(create_token_review=self._answer(Answer(status=review)))
        self.core = Answer(read_namespaced_pod=self._answer(Answer(metadata=metadata)))
        self.custom = Answer(patch_namespaced_custom_object_status=self._answer({}))

    def _answer(self, answer: Any) -> Any:
        def call(*arguments: Any, **_: Any) -> Any:
            self.asked.append(arguments)
            if self.errors and (error := self.errors.pop(0)):
                raise error
            return answer

        return call

    async def call(self, function: Any, *arguments: Any) -> Any:
        return function(*arguments)


def review(
    username: str = "system:serviceaccount:ns:default",
    authenticated: bool = True,
    audiences: list[str] | None = None,
    bound: bool = True,
) -> Any:
    extra = {
        "authentication.kubernetes.io/pod-name": ["the-pod"],
        "authentication.kubernetes.io/pod-uid": ["pod"],
    }
    return Answer(
        authenticated=authenticated,
        audiences=["ranvier"] if audiences is None else audiences,
        user=Answer(username=username, extra=extra if bound else None),
    )


async def identify(cluster: ClusterApi, token: str = TOKEN) -> object:
    return await KubernetesIdentities(cluster, OPERATOR).identify(token)


async def test_the_operator_is_one_named_service_account() -> None:
    assert await identify(Cluster(review(OPERATOR))) == Operator()


async def test_a_broker_is_the_pod_that_its_token_is_bound_to() -> None:
    cluster = Cluster(review(), pod())
    assert await identify(cluster) == Broker("devbox")
    asked = cluster.asked[0][0].spec
    assert (asked.token, asked.audiences) == (TOKEN, ["ranvier"])
    assert cluster.asked[1] == ("the-pod", "ns")


@pytest.mark.parametrize(
    "cluster",
    [
        Cluster(review(authenticated=False), pod()),
        Cluster(review(audiences=["https://kubernetes.default.svc"]), pod()),
        Cluster(review(audiences=[]), pod()),
        Cluster(review(bound=False), pod()),
        Cluster(review(username="jane"), pod()),
        Cluster(review(), pod(), errors=[None, ApiException(status=404)]),
        Cluster(review(), pod(uid="another")),
    ],
    ids=["bad", "audience", "no audience", "unbound", "person", "pod gone", "pod replaced"],
)
async def test_nobody_else_is_anybody(cluster: ClusterApi) -> None:
    assert await identify(cluster) is None


async def test_what_is_no_service_account_token_costs_no_review() -> None:
    cluster = Cluster(review(OPERATOR))
    assert await identify(cluster, "mistyped-key") is None
    assert cluster.asked == []


async def test_a_cluster_that_is_away_is_not_a_bad_token() -> None:
    for errors in ([ApiException(status=500)], [None, ApiException(status=403)], [OSError()]):
        with pytest.raises(IdentityUnavailable):
            await identify(Cluster(review(), pod(), errors))


@pytest.mark.parametrize(
    "owners",
    [
        [],
        [owner(kind="ReplicaSet")],
        [owner(group="other.dev/v1")],
        [owner(group="ranvier.dev.evil/v1")],
        [owner(controller=False)],
    ],
)
def test_only_a_controlling_devbox_makes_a_broker(owners: list[Any]) -> None:
    assert broker_of(pod(owners=owners), "pod") is None


def test_the_poke_is_the_same_for_the_same_reason() -> None:
    wake = {"generation": 2, "axonId": "axn_1", "sequence": 7, "time": "2020-09-13T12:26:40.123Z"}
    assert patch_of(WAKE) == {"status": {"wake": wake}}


async def test_a_poke_patches_the_devboxes_status() -> None:
    cluster = Cluster()
    assert await KubernetesPoker(cluster).poke(WAKE)
    assert cluster.asked == [("ranvier.dev", "v1alpha1", "ns", "devboxes", "box", patch_of(WAKE))]


async def test_a_stale_connection_is_tried_anew_at_once() -> None:
    cluster = Cluster(errors=[ProtocolError("connection aborted")])
    assert await KubernetesPoker(cluster).poke(WAKE)
    assert len(cluster.asked) == 2


async def test_a_devbox_that_is_gone_is_said_to_be() -> None:
    cluster = Cluster(errors=[ApiException(status=404)])
    assert not await KubernetesPoker(cluster).poke(WAKE)


@pytest.mark.parametrize("error", [ApiException(status=500), ProtocolError("x")])
async def test_other_failures_are_to_be_repeated(error: Exception) -> None:
    with pytest.raises(PokeFailed):
        await KubernetesPoker(Cluster(errors=[error, error])).poke(WAKE)
