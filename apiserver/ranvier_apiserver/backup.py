"""`ranvier-apiserver-backup`: copies a journal's folder while the API server runs.

Each file is copied within one read transaction, so the copy is of one moment and nobody waits for
it. The copy is checked and on the disk before it gets its name: a folder of that name is whole.
"""

import argparse
import os
import shutil
import sqlite3
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from ranvier_apiserver.axon_sql.files import SUFFIX
from ranvier_apiserver.durable import sync
from ranvier_apiserver.errors import JournalDamaged, JournalFailed, RanvierError
from ranvier_apiserver.journal.opening import FILE_NAME, read_only

SQL_FOLDER: Final = "sql"
PARTIAL: Final = ".partial"
"""Ends the name of a copy that is not whole; the next run removes it."""


def back_up(data: Path, target: Path) -> int:
    """Copy the journal and the axons' SQL databases to a new folder; returns its bytes.

    What is copied first is the older: the journal holds every event that a database speaks of.
    """
    if not (data / FILE_NAME).exists():
        raise JournalFailed(f"There is no journal in {data}; name its folder with --data.")
    if target.exists():
        raise JournalFailed(f"{target} is there already; name a folder that is not.")
    partial = target.with_name(target.name + PARTIAL)
    shutil.rmtree(partial, ignore_errors=True)
    (partial / SQL_FOLDER).mkdir(parents=True)
    for source in sorted((data / SQL_FOLDER).glob(f"*{SUFFIX}")):
        _copy(source, partial / SQL_FOLDER / source.name)
    _copy(data / FILE_NAME, partial / FILE_NAME)
    _check(partial / FILE_NAME)
    for folder in (partial / SQL_FOLDER, partial):
        sync(folder)
    partial.rename(target)
    sync(target.parent)
    return sum(file.stat().st_size for file in target.rglob("*") if file.is_file())


def _copy(source: Path, target: Path) -> None:
    try:
        with closing(read_only(source)) as old, closing(sqlite3.connect(target)) as new:
            # All pages in one step: in several, each write would make it begin anew.
            old.backup(new, pages=-1)
    except sqlite3.Error as error:
        raise JournalFailed(f"{source} could not be copied: {error}. Try again.") from error
    sync(target)


def _check(journal: Path) -> None:
    with closing(sqlite3.connect(journal)) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        raise JournalDamaged(f"The journal is damaged, and so is this copy of it: {verdict}.")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="ranvier-apiserver-backup",
        description="Copy the journal and the axons' SQL databases while the API server runs.",
    )
    default = os.environ.get("RANVIER_DATA", "./data")
    text = f"folder of the journal (default: {default})"
    parser.add_argument("--data", type=Path, default=default, help=text)
    parser.add_argument("target", type=Path, help="folder to make; serve it with --data")
    given = parser.parse_args(argv)
    try:
        size = back_up(given.data, given.target)
    except (RanvierError, OSError) as error:
        print(f"no backup: {error}", file=sys.stderr)
        return 1
    print(f"{given.target}: {size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
