"""Looks whether the home volume has room, and tells the API server when that changes.

Only the sidecar can: Kubernetes says nothing of a volume that is full, and what runs in the devbox
fails in its own words. The volume is mounted here for this question alone, read-only.
"""

import asyncio
import json
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ranvier_broker.http11 import HttpClient
from ranvier_broker.journal_seam import Lost
from ranvier_broker.retrying import ANSWER_SECONDS_MAX, judge, until_it_passes
from ranvier_broker.settings import Settings

LOOK_SECONDS: Final = 5.0
"""How often it is looked: one system call that reads nothing from the disk."""

FULL_BYTES: Final = 1024 * 1024
"""With less than this left a volume is full: file systems keep some back, and so must we."""

ROOM_BYTES: Final = 4 * FULL_BYTES
"""With this much left again it is not; between the two it stays what it was."""

log = logging.getLogger("ranvier_broker.home")


@dataclass(frozen=True, slots=True)
class Room:
    """What is left and what there is, in bytes; `files_left` is None where nobody counts files."""

    left: int
    size: int
    files_left: int | None = None


def is_full(room: Room, was_full: bool) -> bool:
    """Whether nothing more can be written. Pure."""
    if room.size == 0:
        return False  # a file system that does not tell
    if room.files_left == 0:
        return True
    return room.left < (min(ROOM_BYTES, room.size // 8) if was_full else FULL_BYTES)


def measured(path: Path) -> Room:
    """As the devbox's user finds it, who is not root. Raises OSError."""
    found = os.statvfs(path)
    files = found.f_favail if found.f_files else None
    return Room(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, files)


class HomeWatch:
    """Tells once how it stands, and then what changes."""

    def __init__(self, settings: Settings, http: HttpClient) -> None:
        self._folder = settings.home_dir
        self._generation = settings.generation
        self._path = f"/internal/v1/devboxes/{quote(settings.devbox_uid)}/home"
        self._http = http

    async def run(self) -> None:
        """Until cancelled, or until the devbox was put to sleep."""
        told: bool | None = None
        while self._folder is not None:
            try:
                # On a thread: a volume of the network may not answer.
                room = await asyncio.to_thread(measured, self._folder)
            except OSError as error:
                log.warning("the home volume can not be looked at: %r", error)
                return
            full = is_full(room, bool(told))
            if full != told:
                try:
                    await self._tell(full, room)
                except Lost as lost:
                    log.info("nothing more is told of the home volume: %s", lost)
                    return
                told = full
            await asyncio.sleep(LOOK_SECONDS)

    async def _tell(self, full: bool, room: Room) -> None:
        report = {"generation": self._generation, "full": full, "size_bytes": room.size}
        body = json.dumps(report).encode()

        async def try_once() -> None:
            answer = await self._http.post(self._path, body, ANSWER_SECONDS_MAX)
            judge("home", answer.status)

        await until_it_passes("telling of the home volume", try_once)
