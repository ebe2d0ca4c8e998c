"""The file of API keys, read again when it changes: a key is given or revoked without a restart."""

import logging
from collections.abc import Callable, ItemsView
from pathlib import Path
from typing import Final

from ranvier_apiserver import auth
from ranvier_apiserver.auth import ApiKey
from ranvier_apiserver.errors import BadInput

LOOK_SECONDS: Final = 1.0
"""How long a key that was revoked may still work; requests under way end as they would."""

log = logging.getLogger(__name__)


class KeyFile:
    """Keys by digest. A file that can not be read any more leaves the keys as they were."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        """Raises BadInput or OSError when the file can not be read at the start."""
        self._path = path
        self._now = now
        self._stamp = path.stat().st_mtime_ns
        self._known = auth.read_keys(path)
        self._again = now() + LOOK_SECONDS

    def items(self) -> ItemsView[bytes, ApiKey]:
        if (now := self._now()) >= self._again:
            self._again = now + LOOK_SECONDS
            self._look()
        return self._known.items()

    def _look(self) -> None:
        try:
            # The stamp first: what is written while we read is read again.
            if (stamp := self._path.stat().st_mtime_ns) == self._stamp:
                return
            self._stamp = stamp
            self._known = auth.read_keys(self._path)
            log.info("API keys read again", extra={"keys": len(self._known)})
        except (BadInput, OSError, UnicodeDecodeError) as error:
            log.error("the API keys stay as they were: %s", error)
