"""Where an axon's database stands in the folder of all. Shared by server and worker."""

from pathlib import Path
from typing import Final

SUFFIX: Final = ".sqlite3"


def path_of(folder: Path, axon_id: str) -> Path:
    return folder / f"{axon_id}{SUFFIX}"


def files_of(folder: Path) -> list[str]:
    """The ids of the axons that have a database."""
    return sorted(path.stem for path in folder.glob(f"*{SUFFIX}"))
