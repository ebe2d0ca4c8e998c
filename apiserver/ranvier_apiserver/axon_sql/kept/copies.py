"""This replica's copies of users' databases: files in a temporary folder that can be lost.

A copy is worked on by one request at a time. Whoever is in doubt about one throws it away; the next
request brings the pages anew.
"""

import fcntl
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import IO, Final

from ranvier_apiserver.axon_sql.files import PAGE_BYTES, log_of, path_of, remove_files
from ranvier_apiserver.axon_sql.kept.pages import Kept
from ranvier_apiserver.axon_sql.limits import COPIES_BYTES_MAX

PREFIX: Final = "ranvier-sql-"
LOCK: Final = "lock"


class Copies:
    """Which copies there are, and of which versions. Any thread, an axon by one at a time."""

    def __init__(self, bytes_max: int = COPIES_BYTES_MAX) -> None:
        _remove_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = open(self.folder / LOCK, "wb")  # noqa: SIM115 - says that we live
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._bytes_max = bytes_max
        self._versions: OrderedDict[str, Kept] = OrderedDict()

    def path(self, axon_id: str) -> Path:
        return path_of(self.folder, axon_id)

    def take(self, axon_id: str) -> Kept:
        """The version of the copy, whose holder gives it back or drops it."""
        return self._versions.pop(axon_id, Kept())

    def give(self, axon_id: str, version: Kept) -> None:
        """It is exactly this version."""
        if not version.version or log_of(self.path(axon_id)).exists():
            self.drop(axon_id)
            return
        self._versions[axon_id] = version
        size = sum(kept.page_count for kept in self._versions.values()) * PAGE_BYTES
        while size > self._bytes_max:
            oldest, kept = self._versions.popitem(last=False)
            remove_files(self.path(oldest))
            size -= kept.page_count * PAGE_BYTES

    def drop(self, axon_id: str) -> None:
        self._versions.pop(axon_id, None)
        remove_files(self.path(axon_id))

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._lock.close()


def _remove_abandoned() -> None:
    """The folders of replicas that were killed. One that lives holds its lock."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with open(folder / LOCK, "rb") as lock:
                if _is_free(lock):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # somebody else's, or just being made or removed


def _is_free(lock: IO[bytes]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
