"""The one place that imports the Kubernetes client: raw requests and watches, who a token belongs
to, and pokes.

The client is synchronous, so calls run on a small pool of threads with kept-alive connections.
"""

import asyncio
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, Final

from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from ranvier_apiserver.errors import ClusterUnavailable, IdentityUnavailable
from ranvier_apiserver.identities import Broker, Identity, Operator
from ranvier_apiserver.state import Wake
from ranvier_apiserver.waker import PARALLEL, PokeFailed

GROUP: Final = "ranvier.dev"
VERSION: Final = "v1alpha1"
DEVBOXES: Final = "devboxes"
AUDIENCE: Final = "ranvier"

TIMEOUT_SECONDS: Final = 5.0
CONNECT_SECONDS: Final = 2.0
THREADS: Final = PARALLEL + 4
"""All pokes under way, and room for tokens to be reviewed meanwhile."""

_POD_NAME: Final = "authentication.kubernetes.io/pod-name"
_POD_UID: Final = "authentication.kubernetes.io/pod-uid"
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"


class ClusterApi:
    """A client and its threads."""

    def __init__(self, api: client.ApiClient) -> None:
        self.pool = ThreadPoolExecutor(THREADS, thread_name_prefix="kubernetes")
        self.authentication = client.AuthenticationV1Api(api)
        self.core = client.CoreV1Api(api)
        self.custom = client.CustomObjectsApi(api)
        self._api = api

    async def call(self, function: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.pool, function, *arguments)

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object = None,
        content_type: str = "application/json",
    ) -> tuple[int, bytes]:
        """One request as it is: status and body of the answer."""
        answer: tuple[int, bytes] = await self.call(
            self._send, method, path, query, body, content_type
        )
        return answer

    def lines(self, path: str, query: Mapping[str, str], seconds: float) -> Iterator[bytes]:
        """A watch: lines as they come, until the API server ends it. Blocks, so it needs a thread
        of its own; `seconds` without any line end it."""
        answer = self._request("GET", path, query, None, "application/json", seconds)
        if answer.status >= 300:
            raise ClusterUnavailable(f"GET {path} was answered with {answer.status}.")
        rest = b""
        try:
            for chunk in answer.response.stream(amt=None):
                *lines, rest = (rest + chunk).split(b"\n")
                yield from (line for line in lines if line)
        except (HTTPError, OSError) as error:
            raise ClusterUnavailable(f"GET {path}: {error}.") from error
        finally:
            answer.response.close()

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: object, content_type: str
    ) -> tuple[int, bytes]:
        answer = self._request(method, path, query, body, content_type, TIMEOUT_SECONDS)
        try:
            return int(answer.status), bytes(answer.read())
        except (HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}.") from error

    def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: object,
        content_type: str,
        seconds: float,
    ) -> Any:
        headers = {"Accept": "application/json", "Content-Type": content_type}
        request = self._api.param_serialize(
            method, path, None, list(query.items()), headers, body, auth_settings=["BearerToken"]
        )
        try:
            return self._api.call_api(*request, _request_timeout=(CONNECT_SECONDS, seconds))
        except (ApiException, HTTPError, OSError) as error:
            raise ClusterUnavailable(f"{method} {path}: {error}.") from error


def connect(kubeconfig: str | None = None) -> ClusterApi:
    """From inside a pod, or with a kubeconfig: that of whoever runs it by hand by default."""
    configuration = client.Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        config.load_kube_config(kubeconfig, client_configuration=configuration)  # type: ignore[no-untyped-call]
    configuration.connection_pool_maxsize = THREADS
    # The resync and the callers repeat; a silent retry here would only hide the delay.
    configuration.retries = False
    return ClusterApi(client.ApiClient(configuration))


class KubernetesIdentities:
    """TokenReview, then the pod that the token is bound to, then that pod's controlling owner."""

    def __init__(self, cluster: ClusterApi, operator_subject: str) -> None:
        self._cluster = cluster
        self._operator_subject = operator_subject

    async def identify(self, token: str) -> Identity | None:
        if token.count(".") != 2:
            # No ServiceAccount token looks like this; a mistyped API key costs no review.
            return None
        try:
            identity: Identity | None = await self._cluster.call(self._identify, token)
        except (ApiException, HTTPError, OSError) as error:
            raise IdentityUnavailable(f"Kubernetes could not review the token: {error}.") from error
        return identity

    def _identify(self, token: str) -> Identity | None:
        review = client.V1TokenReview(
            spec=client.V1TokenReviewSpec(token=token, audiences=[AUDIENCE])
        )
        status: Any = self._cluster.authentication.create_token_review(
            review, _request_timeout=TIMEOUT_SECONDS
        ).status
        if not status.authenticated or AUDIENCE not in (status.audiences or ()):
            return None
        if status.user.username == self._operator_subject:
            return Operator()
        return self._broker(status.user)

    def _broker(self, user: Any) -> Broker | None:
        extra = user.extra or {}
        names, uids = extra.get(_POD_NAME), extra.get(_POD_UID)
        if not names or not uids or not user.username.startswith(_SERVICE_ACCOUNT):
            return None
        namespace = user.username.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
        try:
            pod = self._cluster.core.read_namespaced_pod(
                names[0], namespace, _request_timeout=TIMEOUT_SECONDS
            )
        except ApiException as error:
            if error.status == 404:
                return None
            raise
        return broker_of(pod.metadata, uids[0])


class KubernetesPoker:
    """Writes the wake into the Devbox's status; the operator watches it."""

    def __init__(self, cluster: ClusterApi) -> None:
        self._cluster = cluster

    async def poke(self, wake: Wake) -> bool:
        try:
            try:
                await self._cluster.call(self._patch, wake)
            except (HTTPError, OSError):
                # Mostly a kept-alive connection that the other side closed: a new one is at hand.
                await self._cluster.call(self._patch, wake)
        except ApiException as error:
            if error.status == 404:
                return False
            raise PokeFailed(f"{error.status} {error.reason}") from error
        except (HTTPError, OSError) as error:
            raise PokeFailed(str(error)) from error
        return True

    def _patch(self, wake: Wake) -> None:
        self._cluster.custom.patch_namespaced_custom_object_status(
            GROUP,
            VERSION,
            wake.namespace,
            DEVBOXES,
            wake.name,
            patch_of(wake),
            _content_type="application/merge-patch+json",
            _request_timeout=TIMEOUT_SECONDS,
        )


def patch_of(wake: Wake) -> dict[str, Any]:
    """The same for as long as the reason is the same, so a repeated poke writes nothing."""
    time = datetime.fromtimestamp(wake.time_ms / 1000, UTC).isoformat(timespec="milliseconds")
    return {
        "status": {
            "wake": {
                "generation": wake.generation,
                "axonId": wake.axon_id,
                "sequence": wake.sequence,
                "time": time.replace("+00:00", "Z"),
            }
        },
    }


def broker_of(pod: Any, pod_uid: str) -> Broker | None:
    """The devbox that controls this pod, if it is the pod that the token was bound to."""
    if pod.uid != pod_uid:
        return None
    for owner in pod.owner_references or ():
        is_ours = owner.kind == "Devbox" and owner.api_version.startswith(f"{GROUP}/")
        if owner.controller and is_ours:
            return Broker(owner.uid)
    return None
