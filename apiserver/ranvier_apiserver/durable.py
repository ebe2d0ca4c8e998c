"""Bringing a file or a folder to the disk."""

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when it is on the disk. A new file's name is as durable as its content only after its
    folder is. Raises OSError."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
