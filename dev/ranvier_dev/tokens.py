"""Who a token belongs to, as Kubernetes' TokenReview answers it. Pure.

Tokens look like a ServiceAccount's (three parts), since the API server asks for no others.
"""

import secrets
from dataclasses import dataclass
from typing import Any, Final

AUDIENCE: Final = "ranvier"
OPERATOR_SUBJECT: Final = "system:serviceaccount:ranvier-system:ranvier-operator"


@dataclass(frozen=True, slots=True)
class Bearer:
    """A ServiceAccount, and the pod that its token is bound to."""

    username: str
    pod_name: str = ""
    pod_uid: str = ""


class Tokens:
    """The tokens of this run."""

    def __init__(self) -> None:
        self._bearers: dict[str, Bearer] = {}

    def issue(self, bearer: Bearer) -> str:
        token = f"ranvier.dev.{secrets.token_urlsafe(32).replace('.', '')}"
        self._bearers[token] = bearer
        return token

    def revoke(self, token: str) -> None:
        self._bearers.pop(token, None)

    def review(self, body: dict[str, Any]) -> dict[str, Any]:
        """The TokenReview with its status."""
        spec = body.get("spec", {})
        bearer = self._bearers.get(spec.get("token", ""))
        status: dict[str, Any] = {"authenticated": bearer is not None}
        if bearer is not None:
            extra = {
                "authentication.kubernetes.io/pod-name": [bearer.pod_name],
                "authentication.kubernetes.io/pod-uid": [bearer.pod_uid],
            }
            user = {"username": bearer.username, "extra": extra if bearer.pod_uid else {}}
            status |= {"user": user, "audiences": [AUDIENCE]}
        return {**body, "status": status}
