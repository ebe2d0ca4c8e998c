"""Errors as HTTP answers: one table. The body is always `{"code", "message"}`, and says
`head` where a publisher expected another one.

The published clients retry 408, 409, 429 and 5xx five times, whatever the reason. So a permanent
refusal is never one of those, or says `x-should-retry: false`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ranvier.internal import FENCED
from starlette.responses import JSONResponse

from ranvier_apiserver import errors
from ranvier_apiserver.errors import RanvierError

BUSY_RETRY_MS: Final = 200
"""The queue before the disk empties in less; the clients add jitter themselves."""


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    code: str
    headers: Mapping[str, str] = field(default_factory=dict)


NEVER_AGAIN: Final[Mapping[str, str]] = {"x-should-retry": "false"}
SOON_AGAIN: Final[Mapping[str, str]] = {"retry-after": "1", "retry-after-ms": str(BUSY_RETRY_MS)}

PROBLEMS: Final[Mapping[type[RanvierError], Problem]] = {
    errors.BadInput: Problem(400, "bad_request"),
    errors.InvalidField: Problem(422, "invalid_field"),
    errors.PayloadTooLarge: Problem(413, "payload_too_large"),
    errors.BodyStopped: Problem(408, "body_stopped", {**SOON_AGAIN, "connection": "close"}),
    errors.Unauthenticated: Problem(401, "unauthenticated", {"www-authenticate": "Bearer"}),
    errors.Forbidden: Problem(403, "forbidden"),
    errors.IdentityUnavailable: Problem(503, "identity_unavailable", SOON_AGAIN),
    errors.AxonNotFound: Problem(404, "axon_not_found"),
    errors.AxonDeleted: Problem(404, "axon_deleted"),
    errors.AxonFull: Problem(422, "axon_full"),
    errors.HeadMoved: Problem(412, "head_moved"),
    errors.AxonMounted: Problem(422, "axon_mounted"),
    errors.DevboxNotFound: Problem(404, "devbox_not_found"),
    errors.NoCluster: Problem(501, "no_cluster", NEVER_AGAIN),
    errors.ClusterUnavailable: Problem(503, "cluster_unavailable", SOON_AGAIN),
    errors.ClusterRefused: Problem(422, "cluster_refused"),
    errors.NameTaken: Problem(409, "name_taken", NEVER_AGAIN),
    errors.NotFound: Problem(404, "not_found"),
    errors.WrongState: Problem(400, "wrong_state"),
    errors.WaitExpired: Problem(408, "wait_expired", SOON_AGAIN),
    errors.NotServed: Problem(501, "not_served", NEVER_AGAIN),
    errors.MountNotFound: Problem(404, "mount_not_found"),
    errors.Fenced: Problem(409, FENCED, NEVER_AGAIN),
    errors.RuleBroken: Problem(422, "rule_broken"),
    errors.TooBusy: Problem(429, "too_busy", SOON_AGAIN),
    errors.SidecarAway: Problem(503, "devbox_away", SOON_AGAIN),
    errors.SidecarFailed: Problem(500, "devbox_failed", NEVER_AGAIN),
    errors.ExecutionNotFound: Problem(404, "execution_not_found"),
    errors.StdinClosed: Problem(400, "stdin_closed"),
    errors.StdinFull: Problem(429, "stdin_full", SOON_AGAIN),
    errors.SqlRefused: Problem(400, "sql_error"),
    errors.SqlStopped: Problem(400, "sql_stopped"),
    errors.JournalDamaged: Problem(500, "journal_damaged", NEVER_AGAIN),
    errors.JournalFailed: Problem(503, "journal_failed", SOON_AGAIN),
}

INTERNAL: Final = Problem(500, "internal_error")


def status_of(error: RanvierError) -> int:
    """The status that this error is answered with."""
    return PROBLEMS.get(type(error), INTERNAL).status


def answer(error: Exception) -> JSONResponse:
    """The answer to any exception; what is not ours to explain says nothing about itself."""
    problem = PROBLEMS.get(type(error), INTERNAL) if isinstance(error, RanvierError) else INTERNAL
    text = str(error) if problem is not INTERNAL else "Something broke here; the log says what."
    more = {"head": error.head} if isinstance(error, errors.HeadMoved) else {}
    return respond(problem, text, more)


def respond(problem: Problem, message: str, more: Mapping[str, int] | None = None) -> JSONResponse:
    body = {"code": problem.code, "message": message, **(more or {})}
    return JSONResponse(body, problem.status, headers=dict(problem.headers))
