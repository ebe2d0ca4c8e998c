"""Runloop's file routes: a devbox's files, read and written as its user."""

from collections.abc import AsyncIterator
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response, StreamingResponse

from ranvier_apiserver import auth
from ranvier_apiserver.auth import Scope
from ranvier_apiserver.errors import BadInput
from ranvier_apiserver.executions import wire
from ranvier_apiserver.executions.upload import Form
from ranvier_apiserver.routes.context import Caller, body_of, context_of
from ranvier_apiserver.routes.described import Operation, described
from ranvier_apiserver.routes.reaching import TheFiles, uid_for
from ranvier_apiserver.routes.wire import Nothing

router = APIRouter(prefix="/v1/devboxes/{devbox_id}")

CONTENTS_BYTES_MAX: Final = 64 * 1024 * 1024
"""Body of a write of text; larger files are uploaded, of whatever size."""


@router.post("/read_file_contents")
@described(Operation(media_type="text/plain"))
async def read_file_contents(
    request: Request,
    devbox_id: str,
    caller: Caller,
    files: TheFiles,
    body: Annotated[wire.ReadFileParams, Depends(body_of(wire.ReadFileParams))],
) -> Response:
    """Read a file as text; bytes that are no UTF-8 come as they are"""
    return await _read(request, devbox_id, caller, files, body.file_path, "text/plain")


@router.post("/download_file")
@described(Operation(media_type="application/octet-stream"))
async def download_file(
    request: Request,
    devbox_id: str,
    caller: Caller,
    files: TheFiles,
    body: Annotated[wire.DownloadParams, Depends(body_of(wire.DownloadParams))],
) -> Response:
    """Read a file of any content"""
    return await _read(request, devbox_id, caller, files, body.path, "application/octet-stream")


@router.post("/write_file_contents")
@described(Operation([wire.SyncExecutionView]))
async def write_file_contents(
    request: Request,
    devbox_id: str,
    caller: Caller,
    files: TheFiles,
    body: Annotated[
        wire.WriteFileParams, Depends(body_of(wire.WriteFileParams, CONTENTS_BYTES_MAX))
    ],
) -> wire.SyncExecutionView:
    """Write text into a file, with the folders on the way to it"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    uid = await uid_for(context_of(request), devbox_id)

    async def contents() -> AsyncIterator[bytes]:
        yield body.contents.encode()

    await files.write(uid, body.file_path, contents())
    return wire.SyncExecutionView(devbox_id=devbox_id, exit_status=0, stdout="", stderr="")


@router.post("/upload_file")
@described(Operation([Nothing], bodies=[wire.UploadForm], body_media_type="multipart/form-data"))
async def upload_file(
    request: Request, devbox_id: str, caller: Caller, files: TheFiles
) -> dict[str, str]:
    """Write a file of any content and size; the field `path` comes before the field `file`"""
    auth.require(caller, Scope.DEVBOXES_WRITE)
    form = Form(request.headers.get("content-type", ""), "file")
    stream = context_of(request).intake.parts(request.receive)
    first: list[bytes] = []
    while not form.has_file:
        first += await _next(form, stream)
    path = form.fields.get("path", "")
    if not path or "\0" in path or len(path) > wire.PATH_CHARACTERS_MAX:
        raise BadInput("Send the field path, where to write the file, before the field file.")
    uid = await uid_for(context_of(request), devbox_id)
    await files.write(uid, path, _rest(form, first, stream))
    return {}


async def _read(
    request: Request, devbox_id: str, caller: Caller, files: TheFiles, path: str, media_type: str
) -> Response:
    auth.require(caller, Scope.DEVBOXES_READ)
    uid = await uid_for(context_of(request), devbox_id)
    content = await files.read(uid, path)
    headers = {"content-length": str(content.size)}
    return StreamingResponse(content.pieces, media_type=media_type, headers=headers)


async def _next(form: Form, stream: AsyncIterator[bytes]) -> list[bytes]:
    try:
        return form.feed(await anext(stream))
    except StopAsyncIteration:
        raise BadInput("The form holds no field named file.") from None


async def _rest(
    form: Form, first: list[bytes], stream: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for data in stream:
        for piece in form.feed(data):
            yield piece
    form.finish()
