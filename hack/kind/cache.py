"""Building once: keys from content, files that appear whole or not at all, one builder at a time.

A result is built under a temporary name beside its place and renamed when it is complete, so an
interrupted build never poses as done. The name holds a hash of everything that went in; a changed
recipe is a new name, and nothing ever has to be invalidated.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kind.places import Places
from kind.progress import Progress

# 48 bits: no accident among the few dozen results of one cache, and still readable.
KEY_DIGITS = 12
_TEMPORARY = ".building-"


def content_key(*parts: str | bytes) -> str:
    """A short key of all parts, each counted with its length so that ("ab", "c") differs from ("a",
    "bc")."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(f"{len(data)}:".encode())
        digest.update(data)
    return digest.hexdigest()[:KEY_DIGITS]


def tree_key(*roots: Path) -> str:
    """A key of files: their names below each root, contents and executable bits. Byte code does not
    count."""
    parts: list[str | bytes] = []
    for root in roots:
        files = (
            [root] if root.is_file() else sorted(path for path in root.rglob("*") if path.is_file())
        )
        for path in files:
            if "__pycache__" in path.parts:
                continue
            parts += [
                path.relative_to(root.parent).as_posix(),
                str(os.access(path, os.X_OK)),
                path.read_bytes(),
            ]
    return content_key(*parts)


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a temporary path (nothing is there yet); when the block ends well, rename it to
    `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.parent / f"{_TEMPORARY}{os.getpid()}-{target.name}"
    _remove(temporary)
    try:
        yield temporary
        temporary.replace(target)
    finally:
        _remove(temporary)


@contextmanager
def locked(places: Places, progress: Progress) -> Iterator[None]:
    """Be the only one who works on this cache and state. Others wait, and are told for whom."""
    places.cache.mkdir(parents=True, exist_ok=True)
    places.state.mkdir(parents=True, exist_ok=True)
    with places.lock.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            with progress.step(
                f"waiting for process {lock.read().strip() or '?'}, which works on {places.cache}"
            ):
                fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        lock.truncate()
        lock.write(str(os.getpid()))
        lock.flush()
        _sweep(places)
        yield


def _sweep(places: Places) -> None:
    """Remove what interrupted builds left: with the lock held, no temporary name is in use."""
    for folder in (places.cache, places.programs, places.go, places.roots):
        for leftover in folder.glob(f"{_TEMPORARY}*"):
            _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
