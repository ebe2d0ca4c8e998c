"""The folders of one execution: its record and output on the sidecar's own volume, its pipes on the
volume that is shared with the devbox container."""

import contextlib
import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from ranvier_broker import fifos
from ranvier_broker.bridge import ChildCommand
from ranvier_broker.executions import frames
from ranvier_broker.executions.events import RUN_PREFIX, Execution

STATUS_BYTES_MAX: Final = 16

log = logging.getLogger("ranvier_broker.executions")


class Shelf:
    """All executions on disk. `home` is the devbox container's, which is not mounted here."""

    def __init__(self, folder: Path, io_dir: Path, home: str) -> None:
        self._folder = folder
        self._io_dir = io_dir
        self._home = home

    def load(self) -> Iterator[Execution]:
        """What earlier sidecars of this pod kept; whatever else lies there is removed."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for folder in self._folder.iterdir():
            try:
                yield frames.from_record((folder / "record.json").read_bytes())
            except (OSError, ValueError, KeyError, TypeError) as error:
                log.warning("an execution without a record is removed: %r", error)
                shutil.rmtree(folder, ignore_errors=True)
        for folder in self._io_dir.glob(f"{RUN_PREFIX}*"):
            if not (self._folder / folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def save(self, execution: Execution) -> None:
        folder = self._folder / execution.execution_id
        folder.mkdir(exist_ok=True)
        draft = folder / "record.draft"
        draft.write_bytes(frames.record(execution))
        draft.replace(folder / "record.json")

    def output(self, execution_id: str, name: str) -> Path:
        """The file of an output."""
        return self._folder / execution_id / name

    def pipe(self, execution_id: str, name: str) -> Path:
        """The pipe beside the launcher."""
        return self._io_dir / execution_id / name

    def lay_out(self, execution: Execution) -> None:
        """Everything that the launcher needs to run it."""
        folder = self._io_dir / execution.execution_id
        folder.mkdir(exist_ok=True)
        folder.chmod(0o2770)  # the group stays that of the volume, whoever we run as
        for name in ("stdout", "stderr", "taken"):
            fifos.make(folder / name)
        if execution.has_stdin:
            fifos.make(folder / "stdin")
        else:
            (folder / "stdin").touch(0o640)
        command = ChildCommand((), self._home, {"HOME": self._home})
        script = folder / "command"
        script.write_text(command.before() + execution.script)
        script.chmod(0o640)

    def exit_status(self, execution_id: str) -> int | None:
        """What its keeper left behind when it ended."""
        text = self._word(self.pipe(execution_id, "exit"))
        return int(text) if text.isdigit() else None

    def is_untouched(self, execution_id: str) -> bool:
        """No keeper has begun it."""
        return not self.pipe(execution_id, "pid").exists()

    def release(self, execution_id: str) -> None:
        """Let its keeper go, and its pipes."""
        with contextlib.suppress(OSError, fifos.NotAPipe):
            handle = fifos.open_pipe(self.pipe(execution_id, "taken"), os.O_WRONLY)
            try:
                os.write(handle, b"taken\n")
            finally:
                os.close(handle)
        shutil.rmtree(self._io_dir / execution_id, ignore_errors=True)

    def remove(self, execution_id: str) -> None:
        for folder in (self._folder, self._io_dir):
            shutil.rmtree(folder / execution_id, ignore_errors=True)

    def _word(self, path: Path) -> str:
        """A short file of the devbox container; it must not lead us elsewhere."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return ""
        try:
            text = os.read(handle, STATUS_BYTES_MAX)
        except OSError:
            text = b""
        finally:
            os.close(handle)
        return text.decode(errors="replace").strip() if text.endswith(b"\n") else ""
