"""The sidecars' lines: calls go out on a stream that a sidecar opened, answers come in as posts."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from ranvier.internal import CallAnswer, CallFailed, ExecutingReport, HandedOn, HomeReport
from starlette.responses import Response

from ranvier_apiserver import auth
from ranvier_apiserver.errors import Fenced, Forbidden, SidecarAway, TooBusy
from ranvier_apiserver.routes.context import Caller, TheSidecars, TheStore, body_of, context_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.streaming import Emit, EventStream
from ranvier_apiserver.routes.wire import Nothing

router = APIRouter(prefix="/internal/v1/devboxes/{uid}")

ANSWER_BYTES_MAX = 8 * 1024 * 1024
"""The largest piece of two outputs, in base64."""


@router.get("/calls")
@described(Operation(media_type="text/event-stream"))
async def calls(
    uid: str, generation: int, caller: Caller, store: TheStore, sidecars: TheSidecars
) -> Response:
    """Calls to the sidecar of this generation's pod, as server-sent events"""
    auth.require_broker(caller, uid)
    devbox = await store.devbox(uid)
    if generation < devbox.generation:
        raise Fenced(f"The devbox is at generation {devbox.generation}; this pod will go.")

    async def serve(emit: Emit) -> None:
        await sidecars.serve(uid, emit)

    return EventStream(serve)


@router.post("/calls/{number}")
@described(Operation([Nothing]))
async def answer(
    uid: str,
    number: str,
    caller: Caller,
    sidecars: TheSidecars,
    body: Annotated[CallAnswer, Depends(body_of(CallAnswer, ANSWER_BYTES_MAX))],
) -> dict[str, str]:
    """The answer to a call; one that nobody waits for any more is dropped"""
    auth.require_broker(caller, uid)
    sidecars.answered(uid, number, body)
    return {}


async def _other_replica(request: Request) -> None:
    if not context_of(request).admits(auth.bearer(request.scope)):
        raise Forbidden("Only other replicas of this API server may call this.")


@router.post("/ask", dependencies=[Depends(_other_replica)])
@described(Operation([CallAnswer]))
async def ask(
    uid: str,
    sidecars: TheSidecars,
    body: Annotated[HandedOn, Depends(body_of(HandedOn, ANSWER_BYTES_MAX))],
) -> CallAnswer:
    """A call that another replica hands on, because the line is open here"""
    try:
        answer = await sidecars.ask_here(uid, body.op, body.members)
    except TooBusy as error:
        return CallAnswer(error=CallFailed(code="too_busy", message=str(error)))
    if answer is None:
        raise SidecarAway
    return answer


@router.post("/executing")
@described(Operation([Nothing]))
async def executing(
    uid: str,
    caller: Caller,
    store: TheStore,
    body: Annotated[ExecutingReport, Depends(body_of(ExecutingReport))],
) -> dict[str, str]:
    """Whether anything executes; no sleep is granted meanwhile"""
    auth.require_broker(caller, uid)
    await store.report_executing(uid, body)
    return {}


@router.post("/home")
@described(Operation([Nothing]))
async def home(
    request: Request,
    uid: str,
    caller: Caller,
    store: TheStore,
    body: Annotated[HomeReport, Depends(body_of(HomeReport))],
) -> dict[str, str]:
    """Whether the home volume is full; the devbox's status says so until it is not"""
    auth.require_broker(caller, uid)
    devbox = await store.devbox(uid)
    if body.generation < devbox.generation:
        raise Fenced(f"The devbox is at generation {devbox.generation}; this pod will go.")
    if (fleet := context_of(request).fleet) is not None:
        await fleet.boxes.tell_home(uid, body)
    return {}
