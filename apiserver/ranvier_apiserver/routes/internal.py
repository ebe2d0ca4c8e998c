"""What operator and brokers say to the journal, but for `append`, which is a hot route.

ARCHITECTURE.md, "Internal API", has the table.
"""

import contextlib
import hashlib
from typing import Annotated

from fastapi import APIRouter, Depends
from ranvier.events import devbox_id
from ranvier.internal import (
    AttachAnswer,
    AttachRequest,
    AxonBinding,
    AxonBindings,
    AxonBindingView,
    DevboxBinding,
    DevboxFailure,
    DevboxView,
    DevboxViews,
    SleepAnswer,
    SleepRequest,
)

from ranvier_apiserver import auth, notices
from ranvier_apiserver.errors import AxonDeleted
from ranvier_apiserver.routes.context import Caller, OperatorOnly, TheStore, body_of

router = APIRouter(prefix="/internal/v1")


@router.put("/axons/{resource_uid}", dependencies=[OperatorOnly])
async def bind_axon(
    resource_uid: str,
    store: TheStore,
    body: Annotated[AxonBinding, Depends(body_of(AxonBinding))],
) -> AxonBindingView:
    return await store.bind_axon(resource_uid, body)


@router.get("/axons", dependencies=[OperatorOnly])
async def axon_bindings(store: TheStore) -> AxonBindings:
    return AxonBindings(axons=await store.axon_bindings())


@router.delete("/axons/{resource_uid}", dependencies=[OperatorOnly])
async def unbind_axon(resource_uid: str, store: TheStore) -> dict[str, str]:
    await store.unbind_axon(resource_uid)
    return {}


@router.put("/devboxes/{uid}", dependencies=[OperatorOnly])
async def bind_devbox(
    uid: str,
    store: TheStore,
    body: Annotated[DevboxBinding, Depends(body_of(DevboxBinding))],
) -> DevboxView:
    return await store.bind_devbox(uid, body)


@router.get("/devboxes", dependencies=[OperatorOnly])
async def devboxes(store: TheStore) -> DevboxViews:
    return DevboxViews(devboxes=await store.devboxes())


@router.delete("/devboxes/{uid}", dependencies=[OperatorOnly])
async def unbind_devbox(uid: str, store: TheStore) -> dict[str, str]:
    await store.unbind_devbox(uid)
    return {}


@router.post("/devboxes/{uid}/sleep", dependencies=[OperatorOnly])
async def sleep(
    uid: str,
    store: TheStore,
    body: Annotated[SleepRequest, Depends(body_of(SleepRequest))],
) -> SleepAnswer:
    return await store.sleep(uid, body)


@router.post("/devboxes/{uid}/failures", dependencies=[OperatorOnly])
async def tell_failure(
    uid: str,
    store: TheStore,
    body: Annotated[DevboxFailure, Depends(body_of(DevboxFailure))],
) -> dict[str, str]:
    """Tell its axons, each of them once however often it is asked"""
    event = notices.devbox_failed(devbox_id(uid), body)
    for axon_id in sorted(await store.mounted_axons(uid)):
        told = "\0".join(("failure", uid, axon_id, body.reason, str(body.time_ms)))
        with contextlib.suppress(AxonDeleted):
            await store.publish(axon_id, event, hashlib.sha256(told.encode()).digest()[:16])
    return {}


@router.post("/devboxes/{uid}/mounts/{index}/attach")
async def attach(
    uid: str,
    index: int,
    caller: Caller,
    store: TheStore,
    body: Annotated[AttachRequest, Depends(body_of(AttachRequest))],
) -> AttachAnswer:
    auth.require_broker(caller, uid)
    return await store.attach(uid, index, body)
