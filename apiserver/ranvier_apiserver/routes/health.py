"""Is the process alive, and is it ready? For kubelet, without a token and without the disk: what
the last commits said is remembered."""

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from ranvier_apiserver.routes.context import context_of
from ranvier_apiserver.routes.described import Operation, Refusal, described
from ranvier_apiserver.routes.wire import Checks

router = APIRouter()

_CHECKS = described(Operation([Checks], refusals={503: Refusal("Not now", Checks)}))


@router.get("/healthz")
@_CHECKS
async def healthz(request: Request) -> JSONResponse:
    """Is the process alive?

    Not healthy once the journal can not write any more: only a restart helps."""
    return _answer(journal=context_of(request).store.is_healthy)


@router.get("/readyz")
@_CHECKS
async def readyz(request: Request) -> JSONResponse:
    """Can it serve?

    Not ready while commits fail or hang, or the loop that wakes devboxes does. It heals itself."""
    context = context_of(request)
    return _answer(journal=context.store.can_commit, waker=context.waker.is_alive)


def _answer(**checks: bool) -> JSONResponse:
    return JSONResponse(checks, 200 if all(checks.values()) else 503)
