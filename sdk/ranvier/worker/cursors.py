"""Where workers keep how far they have come.

The default is a file: it needs nothing of the server, costs one fsync however much was handled,
adds nothing to the axon (a cursor written as an event would wake subscribers and grow the journal),
and its lock keeps a second process of the same name from working beside the first. A worker without
a disk keeps its cursors in the axons' SQL databases (`sql_cursors`).
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from ranvier.client.errors import RanvierError
from ranvier.worker.progress import Position

FORMAT: Final = 1
"""Version of the stored JSON."""


class CursorError(RanvierError):
    """The cursor can not be read or is another process's."""


class Cursor(Protocol):
    """One worker's place on one axon. Calls block; they are made from a thread."""

    def load(self) -> Position:
        """The stored position; the axon's beginning when there is none."""
        ...

    def save(self, position: Position) -> None:
        """Store the position; when this returns it survives a power cut."""
        ...


class Cursors(Protocol):
    """Where cursors are kept."""

    def open(self, worker: str, axon_id: str) -> AbstractContextManager[Cursor]:
        """Take the cursor for this process alone; raises CursorError when another has it."""
        ...


class FileCursors:
    """Cursors as small JSON files in one folder. Without one, `$XDG_STATE_HOME/ranvier/workers`."""

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = Path(folder) if folder is not None else _default_folder()

    @contextmanager
    def open(self, worker: str, axon_id: str) -> Iterator[Cursor]:
        self._folder.mkdir(parents=True, exist_ok=True)
        name = f"{quote(worker, safe='')}.{quote(axon_id, safe='')}"
        # The lock is a file of its own: the cursor's file is replaced, and its lock with it.
        with (self._folder / f"{name}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                what = f"Worker {worker} already runs on axon {axon_id} with the cursors in "
                step = "Stop it, or give this one another name."
                raise CursorError(f"{what}{self._folder}.", step) from None
            yield _FileCursor(self._folder / f"{name}.json")


class _FileCursor:
    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Position:
        try:
            stored = self._path.read_text()
        except FileNotFoundError:
            return Position()
        return position_of(stored, str(self._path))

    def save(self, position: Position) -> None:
        draft = self._path.with_suffix(".draft")
        with draft.open("w") as file:
            file.write(text_of(position))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def text_of(position: Position) -> str:
    """A position as it is stored."""
    stored = {
        "format": FORMAT,
        "cursor": position.cursor,
        "read_after": position.read_after,
        "memory": position.memory,
    }
    return json.dumps(stored)


def position_of(text: str, name: str) -> Position:
    """A stored position; raises CursorError, which names it, when it can not be read."""
    try:
        stored = json.loads(text)
        if stored["format"] != FORMAT:
            raise ValueError(f"its format is {stored['format']}, not {FORMAT}")
        return Position(int(stored["cursor"]), int(stored["read_after"]), stored["memory"])
    except (ValueError, KeyError, TypeError) as error:
        # Starting over would deliver everything again: that is not ours to decide.
        what = f"The cursor {name} can not be read ({error})."
        raise CursorError(what, "Restore it, or delete it to start from the beginning.") from None


def _default_folder() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(state).expanduser() / "ranvier" / "workers"
