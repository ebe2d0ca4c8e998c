"""Where an axon's database stands in the folder of all. Shared by server and worker."""

from pathlib import Path
from typing import Final

PAGE_BYTES: Final = 4096

SUFFIX: Final = ".sqlite3"


def path_of(folder: Path, axon_id: str) -> Path:
    return folder / f"{axon_id}{SUFFIX}"


def files_of(folder: Path) -> list[str]:
    """The ids of the axons that have a database."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))


def log_of(path: Path) -> Path:
    """Its write-ahead log."""
    return path.with_name(f"{path.name}-wal")


def remove_files(path: Path) -> None:
    """A database's files. Its own last: a crash in between leaves what the next sweep finds."""
    for name in (log_of(path), path.with_name(f"{path.name}-shm"), path):
        name.unlink(missing_ok=True)
