"""Files of a devbox, read and written by short commands in it."""

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from ranvier_apiserver.errors import BadInput, NotFound, PayloadTooLarge, StdinClosed
from ranvier_apiserver.executions import scripts
from ranvier_apiserver.executions.service import PIECE_BYTES, Executions, name_for

FILE_BYTES_MAX: Final = 512 * 1024 * 1024
"""Largest file that can be read: it lies on the sidecar's volume meanwhile."""

FILE_SECONDS_MAX: Final = 600
"""Longest that a file is read or written; the published clients wait no longer."""

COMPLAINT_LINES: Final = 5


@dataclass(frozen=True, slots=True)
class Content:
    """A file that was read: its size in bytes, and the bytes."""

    size: int
    pieces: AsyncIterator[bytes]


class Files:
    """`uid` names the devbox. Relative paths and `~` are meant from its home."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions

    async def read(self, uid: str, path: str) -> Content:
        """The file as it was. Raises NotFound, BadInput, PayloadTooLarge."""
        name = name_for(secrets.token_bytes(16))
        await self._executions.start(
            uid,
            name,
            scripts.read(path),
            output_bytes_max=FILE_BYTES_MAX,
            seconds_max=FILE_SECONDS_MAX,
        )
        try:
            await self._check(uid, name)
            found = (await self._executions.state(uid, name, 0)).stdout
            if found.size >= FILE_BYTES_MAX:
                raise PayloadTooLarge(f"Files of less than {FILE_BYTES_MAX} bytes can be read.")
        except BaseException:
            await self._executions.drop(uid, name)
            raise
        return Content(found.size, self._pieces(uid, name))

    async def write(self, uid: str, path: str, content: AsyncIterator[bytes]) -> None:
        """Write what comes, with the folders on the way. Raises BadInput."""
        name = name_for(secrets.token_bytes(16))
        await self._executions.start(
            uid, name, scripts.write(path), has_stdin=True, seconds_max=FILE_SECONDS_MAX
        )
        try:
            await self._send_all(uid, name, content)
            await self._check(uid, name)
        except StdinClosed:
            # It has ended by itself, as where there can be no such file, and says why.
            await self._check(uid, name)
            raise
        finally:
            await self._executions.drop(uid, name)

    async def _send_all(self, uid: str, name: str, content: AsyncIterator[bytes]) -> None:
        async for piece in content:
            for start in range(0, len(piece), PIECE_BYTES):
                await self._send(uid, name, piece[start : start + PIECE_BYTES])
        await self._send(uid, name, b"", ends=True)

    async def _send(self, uid: str, name: str, data: bytes, *, ends: bool = False) -> None:
        """A call may be made twice, so each piece has a key."""
        await self._executions.write(uid, name, data, key=secrets.token_hex(8), ends=ends)

    async def _pieces(self, uid: str, name: str) -> AsyncIterator[bytes]:
        try:
            async for piece in self._executions.pieces(uid, name, "stdout"):
                yield piece.data
        finally:
            await self._executions.drop(uid, name)

    async def _check(self, uid: str, name: str) -> None:
        """Wait for the end; what went wrong is told by what the command said."""
        while True:
            end = await self._executions.state(uid, name, COMPLAINT_LINES, wait_seconds=10)
            if end.is_completed:
                break
        if end.exit_status == 0:
            return
        said = end.stderr.data.decode(errors="replace").strip() or "the command was ended"
        if end.exit_status == scripts.NO_FILE_STATUS:
            raise NotFound(f"In the devbox: {said}.")
        raise BadInput(f"In the devbox: {said}.")
